"""Connects as told and prints what it saw, one JSON line for each line of
standard input: [how, family, host, port, ...]."""
import ctypes, json, select, socket, struct, sys

libc = ctypes.CDLL(None, use_errno=True)
FAMILY = {"4": socket.AF_INET, "6": socket.AF_INET6}
held = []


def see(s):
    s.setblocking(True)
    s.settimeout(5)
    f = s.makefile("rb")
    banner = f.readline().decode().split()
    s.sendall(b"hello\n")
    echo = f.readline().decode()
    return {
        "peer": list(s.getpeername()),
        "source": s.getsockname()[0],
        "port_kept": len(banner) > 0,
        "server": banner[0] if banner else "",
        "server_saw": banner[1] if len(banner) > 1 else "",
        "echo": echo,
    }


def plain(family, host, port):
    s = socket.socket(FAMILY[family])
    s.connect((host, port))
    return s


def undumpable(family, host, port):
    """Forbids others of the same user to look into this process."""
    libc.prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
    return plain(family, host, port)


def by_name(family, host, port):
    return socket.create_connection((host, port))


def nonblocking(family, host, port):
    s = socket.socket(FAMILY[family])
    s.setblocking(False)
    s.connect_ex((host, port))
    select.select([], [s], [], 5)
    err = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if err:
        raise OSError(err, "connect")
    s.connect_ex((host, port))  # EISCONN, as event loops do
    return s


def bound(family, host, port, source):
    s = socket.socket(FAMILY[family])
    s.bind((source, 0))
    s.connect((host, port))
    return s


def from_port(family, host, port, source):
    """Connects from a port, and leaves the connection open."""
    s = socket.socket(FAMILY[family])
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("", source))
    s.connect((host, port))
    held.append(s.dup())
    return s


def to_device(family, host, port):
    s = socket.socket(FAMILY[family])
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    s.connect((host, port))
    return s


def fastopen(family, host, port):
    s = socket.socket(FAMILY[family])
    s.sendto(b"early\n", socket.MSG_FASTOPEN, (host, port))
    return s


def fastopen_connect(family, host, port):
    s = socket.socket(FAMILY[family])
    s.setsockopt(socket.IPPROTO_TCP, 30, 1)  # TCP_FASTOPEN_CONNECT
    s.connect((host, port))
    s.sendall(b"early\n")
    return s


def mptcp(family, host, port):
    s = socket.socket(FAMILY[family], socket.SOCK_STREAM, 262)
    s.connect((host, port))
    return s


def again(family, host, port, other):
    """Connects to port, disconnects with AF_UNSPEC and connects to other."""
    s = socket.socket(FAMILY[family])
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.connect((host, port))
    s.recv(1)
    unspec = struct.pack("H14x", socket.AF_UNSPEC)
    if libc.connect(s.fileno(), unspec, len(unspec)) != 0:
        raise OSError(ctypes.get_errno(), "disconnect")
    s.connect((host, other))
    return s


def hold(family, host, port):
    """Connects and leaves the connection open."""
    held.append(plain(family, host, port))
    held[-1].recv(1)
    return plain(family, host, port)


def ended():
    """Waits until the held connection ends, in whatever way."""
    s = held.pop()
    s.settimeout(10)
    try:
        while s.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return s


for line in sys.stdin:
    how, *args = json.loads(line)
    try:
        s = globals()[how](*args)
        result = see(s) if how != "ended" else {"echo": "ended"}
        s.close()
    except OSError as e:
        result = {"errno": e.errno, "error": str(e)}
    print(json.dumps(result), flush=True)
