# Functions that fill the root file system of a stand-in image from programs of
# this machine. Sourced by build.sh; $root is the folder to fill.

# skeleton: what every image has: a shell with the usual commands, accounts.
skeleton() {
	mkdir -p "$root"/bin "$root"/usr/bin "$root"/usr/local/bin "$root"/etc "$root"/tmp "$root"/run "$root"/var/run "$root"/root "$root"/proc "$root"/docker-entrypoint-initdb.d
	chmod 1777 "$root"/tmp
	cp "$(command -v busybox)" "$root"/bin/busybox
	for applet in $(busybox --list); do
		[ "$applet" = busybox ] || ln -sf busybox "$root/bin/$applet"
	done
	# Accounts have the numbers that the official images give them.
	cat >"$root"/etc/passwd <<-ACCOUNTS
		root:x:0:0:root:/root:/bin/sh
		postgres:x:999:999::/var/lib/postgresql:/bin/sh
		redis:x:998:998::/data:/bin/sh
		mysql:x:997:997::/var/lib/mysql:/bin/sh
		appuser:x:1000:1000::/home/appuser:/bin/sh
		nobody:x:65534:65534:nobody:/nonexistent:/bin/false
	ACCOUNTS
	sed 's/^\([^:]*\):x:\([0-9]*\):.*/\1:x:\2:/' "$root"/etc/passwd >"$root"/etc/group
	echo 'hosts: files dns' >"$root"/etc/nsswitch.conf
	programs /usr/bin/setpriv
	if [ -d /usr/lib/locale/C.utf8 ]; then
		mkdir -p "$root"/usr/lib/locale
		cp -r /usr/lib/locale/C.utf8 "$root"/usr/lib/locale/
	fi
}

# programs FILE…: copies files with the libraries that they are linked with.
programs() {
	for file; do
		install -D "$file" "$root$file"
		libraries "$file"
	done
	# Name resolution loads these by itself.
	for lib in /lib/*-linux-gnu*/libnss_files.so.2 /lib/*-linux-gnu*/libnss_dns.so.2 /lib/*-linux-gnu*/libresolv.so.2; do
		[ ! -e "$lib" ] || [ -e "$root$lib" ] || install -D "$(readlink -f "$lib")" "$root$lib"
	done
}

# libraries FILE: copies the libraries of this machine that a file is linked with.
libraries() {
	ldd "$1" 2>/dev/null | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*ld-linux[^ ]*\) .*/\1/p' | while read -r lib; do
		case $lib in "$root"*) continue ;; esac
		[ -e "$root$lib" ] || install -D "$(readlink -f "$lib")" "$root$lib"
	done
}
