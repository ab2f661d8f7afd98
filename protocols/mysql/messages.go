package mysql

import (
	"regexp"
	"strings"
)

// wellKnown maps parts of messages, in lower case, to the error that the
// server sends with them; the first that is found counts.
var wellKnown = []struct {
	part  string
	errno int
}{
	{"user-level lock", 3058}, {"xa_rbdeadlock", 1614}, {"xa_rbtimeout", 1613}, {"xa_rbrollback", 1402}, {"xaer_rmfail", 1399},
	{"deadlock", 1213},
	{"lock wait timeout", 1205}, {"lock(s) could not be acquired", 3572}, {"number of locks exceeds", 1206},
	{"too many connections", 1040}, {"max_user_connections", 1203}, {"too many active concurrent", 1637},
	{"server has gone away", 2006}, {"lost connection", 2013},
	{"locked with a read lock", 1099}, {"not locked with lock tables", 1100},
	{"read_only option", 1290}, {"read-only option", 1290}, {"super-read-only", 1290}, {"option so it cannot execute", 1290},
	{"read only transaction", 1792}, {"read-only transaction", 1792}, {"read-only mode", 1836}, {"read only", 1036}, {"read-only", 1290},
	{"error writing file", 1026}, {"error reading file", 1024}, {"input/output error", 1030}, {"i/o error", 1030}, {"from storage engine", 1030},
	{"disk is full", 3675}, {"disk full", 1021}, {"no space left", 1021}, {"is full", 1114},
	{"out of sort memory", 1038}, {"memory capacity exceeded", 3170}, {"out of memory", 1037},
	{"duplicate entry", 1062}, {"duplicate column name", 1060}, {"multiple primary key", 1068}, {"unique constraint", 1062}, {"duplicate key", 1022},
	{"referenced by a foreign key", 3730}, {"referenced in a foreign key", 1701}, {"referenced table", 1824}, {"can't create table", 1005},
	{"parent row", 1451}, {"child row", 1452}, {"foreign key", 1452}, {"check constraint", 3819}, {"constraint failed", 4025},
	{"cannot be null", 1048}, {"doesn't have a default value", 1364},
	{"doesn't match value count", 1136}, {"returns more than 1 row", 1242}, {"is ambiguous", 1052}, {"different number of columns", 1222},
	{"data too long", 1406}, {"data truncated", 1265}, {"value is out of range", 1690}, {"out of range", 1264},
	{"date value", 1292}, {"datetime value", 1292}, {"time value", 1292}, {"truncated incorrect", 1292}, {"invalid json text", 3141},
	{"incorrect index name", 1280}, {"incorrect parameter count", 1582}, {"incorrect argument type", 1232}, {"incorrect key file", 1034}, {"incorrect", 1366}, {"division by 0", 1365}, {"division by zero", 1365},
	{"marked as crashed", 1194}, {"is corrupted", 1712},
	{"shutdown in progress", 1053}, {"shutting down", 1053}, {"session was killed", 3169}, {"connection was killed", 1927},
	{"because of inactivity", 4031}, {"is blocked because", 1129}, {"not allowed to connect", 1130},
	{"max_statement_time", 1969}, {"maximum statement execution time", 3024}, {"query timeout", 3024}, {"execution was interrupted", 1317},
	{"max_allowed_packet", 1153}, {"timeout reading communication", 1159}, {"timeout writing communication", 1161},
	{"reading communication packets", 1158}, {"writing communication packets", 1160}, {"aborted connection", 1152}, {"get hostname", 1042},
	{"max_binlog_cache_size", 1197}, {"max_prepared_stmt_count", 1461}, {"re-prepared", 1615}, {"unknown prepared statement", 1243},
	{"definition has changed", 1412}, {"record has changed", 1020}, {"during commit", 1180}, {"during rollback", 1181},
	{"rollback the current transaction", 3101}, {"conflicting read lock", 1223},
	{"error in your sql syntax", 1064}, {"syntax error", 1064}, {"query was empty", 1065},
	{"no database selected", 1046}, {"unknown database", 1049}, {"unknown column", 1054}, {"unknown table", 1051}, {"unknown command", 1047},
	{"unknown system variable", 1193}, {"can't be set to the value", 1231}, {"unknown collation", 1273}, {"unknown character set", 1115}, {"unknown storage engine", 1286},
	{"unknown thread id", 1094}, {"unknown data type", 4161}, {"unknown view", 4092}, {"used by statement which invoked", 1442}, {"while a transaction is in progress", 1568},
	{"matching row in the user table", 1133}, {"user-defined exception", 1644}, {"that it exists", 1091}, {"column/key exists", 1091}, {"not unique table/alias", 1066}, {"find record", 1032},
	{"can't drop database", 1008}, {"can't create database", 1007}, {"trigger does not exist", 1360}, {"user failed for", 1396}, {"key column", 1072},
	{"doesn't exist", 1146}, {"does not exist", 1146}, {"already exists", 1050},
	{"to database", 1044}, {"command denied", 1142}, {"access denied; you need", 1227}, {"access denied", 1045}, {"permission denied", 1142},
	{"resource", 1226}, {"bad handshake", 1043},
}

// routine is a message about a routine or a savepoint that is not there;
// constraint is MariaDB's about one that does not hold.
var (
	routine    = regexp.MustCompile(`(function|procedure|savepoint) \S+ does not exist`)
	constraint = regexp.MustCompile(`constraint \S+ failed for`)
)

// inferred returns the error that belongs to a message in lower case.
func inferred(message string) int {
	switch {
	case routine.MatchString(message):
		return 1305
	case constraint.MatchString(message):
		return 4025
	}
	for _, w := range wellKnown {
		if strings.Contains(message, w.part) {
			return w.errno
		}
	}
	return 1105
}

// states are the SQLSTATEs of the errors that are no general error (HY000), as
// MySQL 9 tells them in performance_schema.events_errors_summary_global_by_error.
var states = map[string][]int{
	"01000": {1249, 1261, 1262, 1265, 1311, 1642, 3519, 3565, 3751},
	"01S00": {3713},
	"01S01": {3715},
	"02000": {1329, 1643},
	"08004": {1040, 1251},
	"08S01": {1042, 1043, 1047, 1053, 1080, 1081, 1152, 1153, 1154, 1155, 1156, 1157, 1158, 1159, 1160, 1161, 1184, 1189, 1190, 1218, 3068},
	"0A000": {1312, 1314, 1335, 1336, 1415, 1845, 1846},
	"0K000": {1645},
	"0Z002": {3004},
	"20000": {1339},
	"21000": {1222, 1241, 1242},
	"21S01": {1058, 1136},
	"22001": {1406, 3907},
	"22003": {1264, 1416, 1690, 3155, 3669, 3706, 3752, 3904},
	"22004": {1138, 1263},
	"22007": {1292, 1367},
	"22008": {1441},
	"22012": {1365},
	"22018": {3156, 3903},
	"2201E": {3020},
	"22023": {3037, 3558, 3559, 3560, 3561, 3562, 3563, 3564, 3727},
	"22032": {3140, 3141, 3144, 3145, 3146, 3147, 3150, 3151, 3157, 3158, 3853},
	"22034": {3967},
	"22035": {3665, 3966},
	"2203F": {3666},
	"22S00": {3520, 3618, 3682, 3704, 3705, 3726, 3741, 3742, 3743, 3744},
	"22S01": {3516, 4032},
	"22S02": {3616, 3731},
	"22S03": {3617, 3732},
	"22S04": {4033},
	"22S05": {4034},
	"23000": {1022, 1048, 1052, 1062, 1169, 1216, 1217, 1451, 1452, 1557, 1586, 1761, 1762, 1859, 3673},
	"24000": {1325, 1326},
	"25000": {1179, 1207},
	"25001": {1568},
	"25006": {1792},
	"28000": {1045, 1698, 1873},
	"2F003": {1303},
	"2F005": {1321},
	"35000": {1758},
	"3D000": {1046},
	"40000": {3101},
	"40001": {1213},
	"42000": {1044, 1049, 1055, 1056, 1057, 1059, 1061, 1063, 1064, 1065, 1066, 1067, 1068, 1069, 1070, 1071, 1072, 1073, 1074, 1075, 1083, 1084, 1090, 1091, 1101, 1102, 1103, 1104, 1106, 1107, 1110, 1112, 1113, 1115, 1118, 1120, 1121, 1131, 1132, 1133, 1139, 1140, 1141, 1142, 1143, 1144, 1145, 1147, 1148, 1149, 1162, 1163, 1164, 1166, 1167, 1170, 1171, 1172, 1173, 1176, 1177, 1178, 1203, 1211, 1226, 1227, 1230, 1231, 1232, 1234, 1235, 1239, 1248, 1250, 1252, 1253, 1280, 1281, 1286, 1304, 1305, 1308, 1309, 1310, 1313, 1315, 1316, 1318, 1319, 1320, 1322, 1323, 1324, 1327, 1330, 1331, 1332, 1333, 1337, 1338, 1370, 1403, 1407, 1410, 1413, 1414, 1425, 1426, 1427, 1437, 1439, 1453, 1458, 1460, 1461, 1463, 1582, 1583, 1584, 1630, 1641, 1687, 1701, 3057, 3061, 3119, 3131, 3143, 3148, 3149, 3152, 3153, 3154, 3165, 3202, 3630, 3667, 3670, 3753, 3948, 3999, 4048, 4163},
	"42S01": {1050},
	"42S02": {1051, 1109, 1146},
	"42S12": {1082},
	"42S21": {1060},
	"42S22": {1054, 1247},
	"42Y07": {3503},
	"70100": {1317},
	"HY001": {1037, 1038},
	"SR000": {3714},
	"SR001": {3521, 3548},
	"SR002": {3517, 3736, 3737, 3738, 3739, 3740, 4105, 4106, 4107, 4124, 4125, 4126, 4127},
	"SR003": {3518},
	"SR004": {3712},
	"SR005": {3716},
	"SR006": {3708, 3709, 3710, 3711, 3717, 3718},
	"SU001": {3882, 3902},
	"XA100": {1402},
	"XA102": {1614},
	"XA106": {1613},
	"XAE03": {1401},
	"XAE04": {1397},
	"XAE05": {1398},
	"XAE07": {1399},
	"XAE08": {1440},
	"XAE09": {1400},
}
