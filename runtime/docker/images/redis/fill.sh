# Redis of this machine.
programs "$(command -v redis-server)" "$(command -v redis-cli)"
ln -sf "$(command -v redis-server)" "$(command -v redis-cli)" "$root"/usr/local/bin/
mkdir -p "$root"/data
