import java.sql.*;
import java.util.*;

/** MariaDB Connector/J: "work" is a bit of everything; any other task is a list of functions, of which it tells what calling them comes to. */
class Client {
    static void say(Object o) {
        String s = String.valueOf(o);
        System.out.println(s.substring(0, Math.min(s.length(), 400)).replace("\n", " "));
    }

    static void fail(SQLException e) {
        say(e.getClass().getSimpleName() + " " + e.getErrorCode() + " " + e.getSQLState() + " " + e.getMessage().replaceAll("conn=\\d+", "conn"));
    }

    interface Step { Object run() throws SQLException; }

    static void tell(Step s) {
        try { say(s.run()); } catch (SQLException e) { fail(e); }
    }

    static String rows(ResultSet r) throws SQLException {
        long count = 0, sum = 0;
        StringBuilder first = new StringBuilder();
        int columns = r.getMetaData().getColumnCount();
        while (r.next()) {
            for (int i = 1; i <= columns; i++) {
                String v = r.getString(i);
                sum += v == null ? -1 : v.length();
                if (count < 2) first.append(v == null || v.length() < 30 ? v : "…").append('|');
            }
            count++;
        }
        r.close();
        return count + " rows, " + sum + " letters: " + first;
    }

    static void work(String url) throws SQLException {
        Connection c = DriverManager.getConnection(url);
        Statement s = c.createStatement();
        tell(() -> s.executeUpdate("DROP TABLE IF EXISTS j"));
        tell(() -> s.executeUpdate("CREATE TABLE j (id INT PRIMARY KEY AUTO_INCREMENT, t LONGTEXT, n BIGINT)"));
        PreparedStatement insert = c.prepareStatement("INSERT INTO j (t, n) VALUES (?, ?)", Statement.RETURN_GENERATED_KEYS);
        for (int i = 0; i < 3; i++) {
            insert.setString(1, i == 0 ? "" : i == 1 ? null : "x".repeat(100000));
            insert.setLong(2, i);
            tell(insert::executeUpdate);
        }
        for (int i = 0; i < 500; i++) {
            insert.setString(1, "batch " + i);
            insert.setLong(2, i);
            insert.addBatch();
        }
        tell(() -> Arrays.toString(insert.executeBatch()).length());
        PreparedStatement again = c.prepareStatement("INSERT INTO j (id) VALUES (?)");
        for (int i : new int[] {9000, 1, 9001}) { again.setInt(1, i); again.addBatch(); }
        tell(() -> Arrays.toString(again.executeBatch()));
        PreparedStatement select = c.prepareStatement("SELECT id, t FROM j WHERE n < ? ORDER BY id");
        for (int i = 0; i < 4; i++) { select.setInt(1, i); tell(() -> rows(select.executeQuery())); }
        PreparedStatement cursor = c.prepareStatement("SELECT a.id FROM j a, j b WHERE b.id < 20 ORDER BY 1");
        cursor.setFetchSize(100);
        tell(() -> rows(cursor.executeQuery()));
        tell(() -> {
            StringBuilder b = new StringBuilder();
            boolean more = s.execute("SELECT 1; UPDATE j SET n = 1 WHERE id = 1; SELECT '' AS e, NULL; SELEC");
            while (more || s.getUpdateCount() >= 0) {
                b.append(more ? rows(s.getResultSet()) : s.getUpdateCount() + " updated").append("; ");
                more = s.getMoreResults();
            }
            return b;
        });
        c.setAutoCommit(false);
        tell(() -> s.executeUpdate("DELETE FROM j"));
        c.rollback();
        tell(() -> rows(s.executeQuery("SELECT count(*) FROM j")));
        c.setAutoCommit(true);
        tell(() -> s.executeUpdate("CREATE OR REPLACE VIEW jv AS SELECT id FROM j"));
        tell(() -> rows(c.getMetaData().getColumns(null, null, "jv", null)));
        tell(() -> c.isValid(5));
        tell(() -> s.executeUpdate("INSERT INTO j (id) VALUES (1)"));
        tell(() -> s.executeQuery("SELECT * FROM none"));
        c.setCatalog("mysql");
        tell(() -> rows(s.executeQuery("SELECT database()")));
        c.close();
    }

    static void faults(String url, String names) throws SQLException {
        for (String name : names.split(",")) {
            try (Connection c = DriverManager.getConnection(url)) {
                tell(() -> rows(c.prepareStatement("SELECT " + name + "()").executeQuery()));
                tell(() -> rows(c.createStatement().executeQuery("SELECT 1")));
            } catch (SQLException e) {
                fail(e);
            }
        }
    }

    public static void main(String[] args) throws SQLException {
        if (args[0].equals("work")) work(args[1]); else faults(args[1], args[0]);
    }
}
