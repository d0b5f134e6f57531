"""Connects to the brain's sockets for so many seconds, and counts what came of it."""
import socket
import sys
import time

HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
SOCKETS = (
    (socket.AF_INET, ("127.0.0.1", 17090), HTTP2),
    (socket.AF_UNIX, "/run/maglev-brain/brain.sock", HTTP2),
    (socket.AF_INET, ("127.0.0.1", 17091), b"GET /metrics HTTP/1.0\r\n\r\n"),
)
answered = refused = cut = 0
slowest = 0.0
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    for family, address, request in SOCKETS:
        start = time.monotonic()
        with socket.socket(family) as caller:
            caller.settimeout(20)
            try:
                caller.connect(address)
            except OSError as error:
                refused += 1
                print(address, error)
                continue
            try:
                caller.sendall(request)
                if caller.recv(1000):
                    answered += 1
                else:
                    cut += 1
            except OSError:
                cut += 1
        slowest = max(slowest, time.monotonic() - start)
    time.sleep(0.01)
print(f"answered {answered}, refused {refused} , cut by the end {cut}, slowest {slowest:.1f} s")
