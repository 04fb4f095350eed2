"""One served address, several processes: each connection belongs to one of them.

The supervisor (`crew`) prepares the host, holds every queue of every TUN device, answers on the
control socket and starts the workers again that die (`roster`). A worker (`worker`) is a whole
server on one queue of each device. They share nothing but the host's kernel, and talk over a
`channel`.

The kernel gives the packets of a connection always to the same queue: it chooses by a keyed hash of
addresses and ports, the same in both directions and on all devices, scaled to the number of queues;
a queue that has sent packets of a connection lately gets those that come in, and that is the queue
which the hash names, for nobody else answers. The number of queues never changes, because the
supervisor holds them too: what arrives for a worker that died waits for its successor, and nobody
else's connections move. tests/interop/test_tun_steering.py asks the kernel.
"""
