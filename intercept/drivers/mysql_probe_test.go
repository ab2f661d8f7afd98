package drivers
import ("testing";"database/sql";_ "github.com/go-sql-driver/mysql";"faultbox/protocols/mysql")
func TestMySQLProbe(t *testing.T){
 for n,s:=range map[string]func(testing.TB,...string)string{"maria":MariaDB,"mysql":MySQL}{
 a:=s(t)
 b,log:=Front(t,mysql.Protocol,a,never(t,mysql.Protocol,"query"))
 for _,o:=range []string{"","?compress=true","?tls=skip-verify"}{
 db,_:=sql.Open("mysql",MySQLUser+":"+MySQLPassword+"@tcp("+b+")/"+MySQLDatabase+o)
 var v string
 err:=db.QueryRow("SELECT version()").Scan(&v)
 t.Log(n,o,v,err)
 err=db.QueryRow("SELECT concat(?,version())","x").Scan(&v)
 t.Log(n,o,v,err)
 db.Close()
 }
 t.Log(log.Notes())
 for _,e:=range log.Events(){t.Log(e.Op,e.Text,e.Err,e.Outcome)}
 }
}
