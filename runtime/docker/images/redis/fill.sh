# Redis of this machine.
for program in redis-server redis-cli redis-benchmark; do
	programs "$(command -v $program)"
	ln -sf "$(command -v $program)" "$root"/usr/local/bin/
done
mkdir -p "$root"/data
