"""A server whose health is that it accepts connections."""
import socket

server = socket.create_server(("", 8080))
while True:
    server.accept()[0].close()
