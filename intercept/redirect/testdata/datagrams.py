"""Sends datagrams as told and prints what it saw, one JSON line for each line
of standard input: [how, family, host, port, ...]. The server answers "who" with
the address that it was reached at and the client's, and echoes everything else."""
import ctypes, json, socket, struct, sys

libc = ctypes.CDLL(None, use_errno=True)
FAMILY = {"4": socket.AF_INET, "6": socket.AF_INET6}
LARGE = bytes(range(256)) * 255 + b"x" * (65507 - 255 * 256)
kept = []


def new(family):
    s = socket.socket(FAMILY[family], socket.SOCK_DGRAM)
    s.settimeout(20)
    return s


def connected(s):
    """What a connected socket sees."""
    s.send(b"who")
    who, sender = s.recvfrom(100)
    answers = []
    for message in (b"", LARGE, b"z"):
        s.send(message)
        answers.append(s.recv(1 << 17) == message)
    s.send(b"a long one")
    short = s.recv(4, socket.MSG_TRUNC)  # the rest of it is lost
    for i in range(50):
        s.send(b"%d" % i)
    order = [int(s.recv(100)) for i in range(50)]
    return {"who": who.decode(), "from": sender[:2], "peer": s.getpeername()[:2], "source": s.getsockname()[0],
            "answers": answers, "short": short.decode(), "in_order": order == list(range(50))}


def plain(family, host, port):
    s = new(family)
    s.connect((host, port))
    return connected(s)


def bound(family, host, port, source):
    s = new(family)
    s.bind((source, 0))
    s.connect((host, port))
    return connected(s)


def again(family, host, port, other):
    """Connects to other, disconnects with AF_UNSPEC and connects to port."""
    s = new(family)
    s.connect((host, other))
    s.send(b"who")
    s.recv(100)
    unspec = struct.pack("H14x", socket.AF_UNSPEC)
    if libc.connect(s.fileno(), unspec, len(unspec)) != 0:
        raise OSError(ctypes.get_errno(), "disconnect")
    s.connect((host, port))
    return connected(s)


def unconnected(s, host, port, message=b"who"):
    s.sendto(message, (host, port))
    answer, sender = s.recvfrom(1 << 17)
    return {"who": answer.decode() if message == b"who" else answer == message, "from": sender[:2], "source": s.getsockname()[0]}


def sendto(family, host, port):
    return unconnected(new(family), host, port)


def sendmsg(family, host, port):
    s = new(family)
    s.sendmsg([b"w", b"ho"], [], 0, (host, port))
    answer, _, flags, sender = s.recvmsg(100, 100)
    return {"who": answer.decode(), "from": sender[:2]}


def sendto_bound(family, host, port, source):
    s = new(family)
    s.bind((source, 0))
    return unconnected(s, host, port)


def sendto_sizes(family, host, port):
    s = new(family)
    return [unconnected(s, host, port, m) for m in (b"", LARGE, b"z")]


def sendto_many(family, host, *ports):
    """One socket, several servers in turn, and a datagram to each before any answer is read."""
    s = new(family)
    for port in ports * 2:
        s.sendto(b"who", (host, port))
    return sorted([s.recvfrom(100)[1][1] for _ in ports * 2])


def sendto_though_connected(family, host, port, other):
    s = new(family)
    s.connect((host, port))
    s.send(b"who")
    s.recv(100)
    s.sendto(b"who", (host, port))
    answer, sender = s.recvfrom(100)
    return {"who": answer.decode(), "from": sender[:2]}


def to_device(family, host, port):
    s = new(family)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    return unconnected(s, host, port)


def in_turn(family, host, port, n):
    """A query and its answer, n times."""
    s = new(family)
    s.connect((host, port))
    for _ in range(n):
        s.send(b"x" * 40)
        s.recv(100)


def refused(family, host, port):
    """A connected socket hears of it on its next call, and works on."""
    s = new(family)
    s.connect((host, port))
    seen = []
    for _ in range(3):
        s.send(b"who")
        try:
            s.recv(100)
        except OSError as e:
            seen.append(e.errno)
    return seen


def unheard(family, host, port):
    """An unconnected socket hears nothing, unless it asks for errors."""
    s = new(family)
    s.settimeout(0.2)
    s.sendto(b"who", (host, port))
    try:
        s.recv(100)
    except TimeoutError:
        pass
    s.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR
    s.sendto(b"who", (host, port))
    s.settimeout(20)
    try:
        s.recv(100)
    except OSError as e:
        _, _, _, to = s.recvmsg(100, 100, socket.MSG_ERRQUEUE)
        return [e.errno, to]


def keep(family, host, port):
    s = new(family)
    s.connect((host, port))
    kept.append(s)
    return plain(family, host, port)


def kept_one():
    """What the kept socket hears, in turn."""
    s = kept[0]
    try:
        s.send(b"who")
        return s.recv(100).decode()
    except OSError as e:
        return e.errno


for line in sys.stdin:
    how, *args = json.loads(line)
    try:
        result = {"saw": globals()[how](*args)}
    except OSError as e:
        result = {"errno": e.errno, "error": str(e)}
    print(json.dumps(result), flush=True)
