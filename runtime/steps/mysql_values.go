package steps

import (
	"database/sql/driver"
	"io"
	"strconv"
	"strings"
	"time"
)

// mysqlParams turns arguments into values that the driver writes.
func mysqlParams(args []any) ([]driver.NamedValue, error) {
	values := make([]driver.NamedValue, len(args))
	for i, v := range args {
		switch v.(type) {
		case nil, bool, int64, float64, string:
		case []any, map[string]any:
			s, err := encodeJSON(v)
			if err != nil {
				return nil, err
			}
			v = s
		default:
			return nil, misused("pass argument %d: want None, a bool, number, string, list or dict", i+1)
		}
		values[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return values, nil
}

// mysqlRows turns a result into a list of dicts. Of columns with the same name
// the last one stays.
func mysqlRows(rows driver.Rows) ([]any, error) {
	names := rows.Columns()
	types := rows.(driver.RowsColumnTypeDatabaseTypeName)
	all := []any{}
	row := make([]driver.Value, len(names))
	for {
		switch err := rows.Next(row); err {
		case nil:
		case io.EOF:
			return all, nil
		default:
			return nil, err
		}
		dict := make(map[string]any, len(names))
		for i, name := range names {
			dict[name] = mysqlValue(types.ColumnTypeDatabaseTypeName(i), row[i])
		}
		all = append(all, dict)
	}
}

// mysqlValue turns a value of the driver into one that a spec knows.
func mysqlValue(kind string, v driver.Value) any {
	switch v := v.(type) {
	case float32:
		return number(strconv.FormatFloat(float64(v), 'g', -1, 32))
	case float64:
		return number(strconv.FormatFloat(v, 'g', -1, 64))
	case uint64:
		return number(strconv.FormatUint(v, 10))
	case []byte:
		return mysqlText(kind, string(v))
	case string:
		return mysqlText(kind, v)
	}
	return v
}

func mysqlText(kind, s string) any {
	switch kind {
	case "DECIMAL", "BIGINT", "INT", "MEDIUMINT", "SMALLINT", "TINYINT", "UNSIGNED BIGINT", "FLOAT", "DOUBLE", "YEAR":
		return number(s)
	case "BIT":
		n := uint64(0)
		for i := range len(s) {
			n = n<<8 | uint64(s[i])
		}
		return number(strconv.FormatUint(n, 10))
	case "DATETIME", "TIMESTAMP":
		if t, err := time.Parse("2006-01-02 15:04:05.999999", s); err == nil {
			return t.Format("2006-01-02T15:04:05.999999")
		}
	case "JSON":
		if v, ok := decodeJSON([]byte(s)); ok {
			return v
		}
	}
	return strings.Clone(s)
}
