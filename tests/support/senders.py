"""Senders that never give up: each body is posted, with its Idempotency-Key, until the server has answered for it."""
import collections
import http.client
import json
import threading
import time

TIMEOUT_SECONDS = 20
RETRY_SECONDS = 0.02
TRY_AGAIN = (429, 500, 502, 503, 504)


class Load:
    """Threads that post bodies of `events` to `servers` at about `rate` events a second, between resume() and pause().

    After pause() everything that was begun is answered, so that what the servers must hold is known exactly. With several servers each
    connection that breaks is followed by one to the next, so that a body that was sent again may be so to another server.
    """

    def __init__(self, servers, events, rate, threads=6, lines=(20, 200), timeout=TIMEOUT_SECONDS):
        self.servers = servers if isinstance(servers, list) else [servers]
        self.events, self.lines = events, lines
        self.rate, self.timeout = rate, timeout
        self.accepted = collections.Counter()   # hash of the line -> how often
        self.rejected = collections.Counter()   # line -> how often
        self.malformed_total = self.invalid_total = 0
        self.accepted_total = self.rejected_total = self.posts = self.repeats = self.unanswered = 0
        self.refusals = collections.Counter()   # (status, message) of answers that ask to try again
        self.order = None
        self._extra = []                        # bodies to be sent before any other
        self.wrong = []                         # answers that are not what they must be
        self._in_flight = {}
        self._lock = threading.Lock()
        self._go = threading.Event()
        self._stopping = False
        self._idle = threading.Condition(self._lock)
        self._busy = 0
        self._due = time.monotonic()
        self._threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(threads)]
        for thread in self._threads:
            thread.start()

    def keep_order(self):
        """Keeps the accepted lines in `order`; only one thread has an order."""
        self.order = []

    def resume(self):
        self._due = time.monotonic()
        self._go.set()

    def pause(self, seconds=60):
        """No new posts; waits until those under way are answered."""
        self._go.clear()
        with self._idle:
            if not self._idle.wait_for(lambda: self._busy == 0 and not self._extra, seconds):
                raise RuntimeError(f"{self._busy} posts were not answered within {seconds} s; refusals: {dict(self.refusals)}")

    def stop(self):
        self._stopping = True
        self._go.set()
        for thread in self._threads:
            thread.join(10)

    def under_way(self):
        """Posts that were begun and not answered."""
        with self._lock:
            return self._busy

    def in_flight(self):
        """Events that were sent and not answered."""
        with self._lock:
            return sum(self._in_flight.values())

    def wait_in_flight(self, seconds=0.5):
        """Returns as soon as something was sent and not answered."""
        deadline = time.monotonic() + seconds
        while not self.in_flight() and time.monotonic() < deadline:
            time.sleep(0.0005)
        return self.in_flight()

    def send(self, body, seconds=60):
        """Posts one body more, and waits until it and all others are answered."""
        with self._lock:
            self._extra.append(body)
        self.pause(seconds)

    # -- the threads

    def _take(self):
        """The next body when it is due, or None."""
        with self._lock:
            now = time.monotonic()
            if self._extra:
                self._busy += 1
                return self._extra.pop()
            if not self._go.is_set() or now < self._due:
                return None
            size = self.events.chance.randint(*self.lines)
            self._due = max(self._due, now - 0.2) + size / self.rate
            self._busy += 1
            return self.events.body(size)

    def _run(self, number):
        connection = None
        while not self._stopping:
            body = self._take()
            if body is None:
                self._go.wait(0.2)
                time.sleep(0.003)
                continue
            connection = self._deliver(number, connection, body)
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def _deliver(self, number, connection, body):
        text = body.text()
        repeated = False
        turn = number
        while not self._stopping:
            if connection is None:
                connection = self._connect(self.servers[turn % len(self.servers)])
                turn += connection is None
            if connection is None:
                time.sleep(RETRY_SECONDS)
                continue
            with self._lock:
                self._in_flight[number] = len(body.lines)
            try:
                connection.request("POST", "/v1/datasets/camera_events/events", text,
                                   {"Authorization": f"Bearer {connection.token}", "Content-Type": "application/x-ndjson",
                                    "Idempotency-Key": body.key})
                response = connection.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                connection = None
                repeated = True
                turn += 1
                with self._lock:
                    self.unanswered += 1
                continue  # still in flight: nobody said what became of it
            with self._lock:
                self._in_flight.pop(number, None)
            if response.status in (200, 422):
                self._take_receipt(body, response.status, json.loads(answer), repeated)
                return connection
            if not self._note_refusal(body, response.status, answer):
                return connection
            repeated = True
            time.sleep(RETRY_SECONDS)
        return connection

    def _connect(self, server):
        """A connection with the server's token, or None while it can't be reached."""
        try:
            connection = server.connection(self.timeout)
            connection.token = server.token()
            return connection
        except OSError:
            return None

    def _take_receipt(self, body, status, receipt, repeated):
        expected = {"received": len(body.lines), "accepted": body.accepted,
                    "rejected": {"malformed": len(body.malformed), "invalid": len(body.invalid)}}
        got = {name: receipt.get(name) for name in expected}
        with self._lock:
            if got != expected or status != (200 if body.accepted else 422):
                self.wrong.append(f"POST {body.key} was answered {status} {got}, not {expected}")
            if receipt.get("repeated") and not repeated:
                self.wrong.append(f"POST {body.key} was sent once, and the server says that it came before")
            self.repeats += bool(receipt.get("repeated"))
            self.posts += 1
            refused = collections.Counter(body.malformed) + collections.Counter(body.invalid)
            self.rejected.update(refused)
            left = collections.Counter(body.lines) - refused
            for line, count in left.items():
                self.accepted[hash(line)] += count
            if self.order is not None:
                self.order += [line for line in body.lines if line not in refused]
            self.accepted_total += body.accepted
            self.rejected_total += len(body.malformed) + len(body.invalid)
            self.malformed_total += len(body.malformed)
            self.invalid_total += len(body.invalid)

    def _note_refusal(self, body, status, answer):
        """Whether it asks to try again."""
        message = answer.decode(errors="replace")[:400]
        with self._lock:
            if status in TRY_AGAIN:
                self.refusals[status, message] += 1
                return True
            self.wrong.append(f"POST {body.key} was answered {status}: {message}")
            return False
