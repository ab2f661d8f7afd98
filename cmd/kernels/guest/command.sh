# What faultbox says of this machine: exit code 4 and what is missing, or it runs.
here=$(dirname "$0")
work=$(mktemp -d)
cd "$work"
cat >program <<SH
#!/bin/sh
exec $here/../faultbox demo-redis
SH
chmod 755 program
cat >faultbox.star <<'STAR'
db = service("db", "./program", interface("main", "redis", 6390), env = {"PORT": 6390}, healthcheck = ready())

def reads():
    return db.get(key = "k")
scenario(reads)

fault_scenario("refused", scenario = reads,
    faults = fault_assumption("no", target = db.main, error(command = "GET", message = "LOADING")),
    expect = lambda r: assert_true(not r.ok))
STAR
"$here/../faultbox" test
code=$?
echo "faultbox test: exit code $code"

# A system call's fault needs neither root nor BPF nor cgroups.
"$here/../faultbox" run --fault 'rmdir=EROFS' -- /bin/sh -c 'rmdir /nowhere' 2>&1
calls=$?
echo "faultbox run: exit code $calls"
[ $code = 4 ] && exit 77
exit $code
