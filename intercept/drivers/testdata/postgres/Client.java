import java.io.*;
import java.sql.*;
import java.util.*;
import org.postgresql.*;
import org.postgresql.util.*;

/** PostgreSQL's JDBC driver: "work" is a bit of everything; any other task is a list of functions, of which it tells what calling them comes to. */
class Client {
    static void say(Object o) {
        String s = String.valueOf(o);
        System.out.println(s.substring(0, Math.min(s.length(), 400)).replace("\n", " "));
    }

    interface Step { Object run() throws Exception; }

    static void tell(Step step) throws Exception {
        try {
            say(step.run());
        } catch (SQLException e) {
            String severity = e instanceof PSQLException p && p.getServerErrorMessage() != null ? p.getServerErrorMessage().getSeverity() : "";
            String first = e.getMessage().split("\n")[0];
            say(e.getClass().getSimpleName() + " " + e.getSQLState() + " " + severity + " " + first);
        }
    }

    static String rows(ResultSet r) throws SQLException {
        long count = 0, sum = 0;
        int columns = r.getMetaData().getColumnCount();
        while (r.next()) {
            for (int i = 1; i <= columns; i++) {
                String v = r.getString(i);
                sum += v == null ? -1 : v.length();
            }
            count++;
        }
        r.close();
        return count + " rows, " + sum + " letters";
    }

    static void work(Connection c) throws Exception {
        Statement s = c.createStatement();
        tell(() -> s.executeUpdate("DROP TABLE IF EXISTS j"));
        tell(() -> s.executeUpdate("CREATE TABLE j (id int PRIMARY KEY, t text)"));
        PreparedStatement insert = c.prepareStatement("INSERT INTO j VALUES (?, ?)");
        for (int i = 0; i < 8; i++) { // named on the server from the fifth on
            insert.setInt(1, i);
            insert.setString(2, i == 0 ? "" : i == 1 ? null : "x".repeat(100000));
            tell(insert::executeUpdate);
        }
        for (int i = 100; i < 1100; i++) {
            insert.setInt(1, i);
            insert.setString(2, "batch " + i);
            insert.addBatch();
        }
        tell(() -> insert.executeBatch().length);
        for (int i : new int[] {9000, 1, 9001}) { insert.setInt(1, i); insert.setString(2, ""); insert.addBatch(); }
        tell(() -> insert.executeBatch().length);
        PreparedStatement select = c.prepareStatement("SELECT * FROM j WHERE id < ? ORDER BY id");
        for (int i = 0; i < 8; i++) { select.setInt(1, i); tell(() -> rows(select.executeQuery())); }
        tell(() -> {
            StringBuilder b = new StringBuilder();
            boolean more = s.execute("SELECT 1; UPDATE j SET t = 'u' WHERE id = 1; SELECT '', NULL");
            while (more || s.getUpdateCount() >= 0) {
                b.append(more ? rows(s.getResultSet()) : s.getUpdateCount() + " updated").append("; ");
                more = s.getMoreResults();
            }
            return b;
        });
        c.setAutoCommit(false);
        PreparedStatement cursor = c.prepareStatement("SELECT i FROM generate_series(1, 1000) i");
        cursor.setFetchSize(100);
        tell(() -> rows(cursor.executeQuery()));
        Savepoint point = c.setSavepoint();
        tell(() -> s.executeUpdate("INSERT INTO j VALUES (1, 'dup')"));
        tell(() -> rows(s.executeQuery("SELECT 1")));
        c.rollback(point);
        tell(() -> s.executeUpdate("DELETE FROM j WHERE id < 5"));
        c.rollback();
        tell(() -> rows(s.executeQuery("SELECT count(*) FROM j")));
        c.commit();
        c.setAutoCommit(true);
        var copy = c.unwrap(PGConnection.class).getCopyAPI();
        tell(() -> copy.copyIn("COPY j FROM STDIN", new StringReader("20000\ta\n20001\tb\n")));
        tell(() -> copy.copyIn("COPY j FROM STDIN", new StringReader("no number\ta\n")));
        var out = new StringWriter();
        tell(() -> copy.copyOut("COPY j TO STDOUT", out));
        say(out.toString().length());
        tell(() -> rows(c.getMetaData().getColumns(null, null, "j", null)));
        tell(() -> s.executeQuery("SELEC"));
        CallableStatement call = c.prepareCall("{? = call upper(?)}");
        call.registerOutParameter(1, Types.VARCHAR);
        call.setString(2, "called");
        tell(() -> { call.execute(); return call.getString(1); });
        Statement slow = c.createStatement();
        slow.setQueryTimeout(1); // a CancelRequest on another connection
        tell(() -> rows(slow.executeQuery("SELECT pg_sleep(60)")));
        tell(() -> c.isValid(5));
    }

    public static void main(String[] args) throws Exception {
        try (Connection c = DriverManager.getConnection(args[1])) {
            if (args[0].equals("work")) {
                work(c);
                return;
            }
            Statement s = c.createStatement();
            for (String f : args[0].split(",")) tell(() -> rows(s.executeQuery("SELECT " + f + "()")));
        }
    }
}
