#!/usr/bin/env python3
"""Measures a stream processor from outside, the same way whoever it is. Needs confluent-kafka.

  measure.py topic NAME PARTITIONS                          make (again) a topic that keeps everything
  measure.py delete PREFIX                                  delete the topics whose names begin so
  measure.py load TOPIC N [KEYS [BYTES]]                    N JSON orders of about 120 bytes, or more, event time 1 ms apart
  measure.py drain GROUP TOPIC [--limit S] -- CMD...        start CMD, wait until GROUP has committed all of TOPIC: rate, CPU, RSS
  measure.py restore TASKS -- CMD...                        start CMD, wait until it has said of so many tasks that they are restored
  measure.py latency IN OUT RATE SECONDS -- CMD...          produce to IN, read OUT committed: p50, p99, max in ms
"""
import base64, json, os, random, re, signal, subprocess, sys, threading, time
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

BOOTSTRAP = os.environ.get("BOOTSTRAP", "127.0.0.1:19092")
PRODUCTS = ["JUMPERS", "UNDERPANTS", "STOCKINGS"]

def topic(name, partitions):
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
    if name in admin.list_topics(timeout=10).topics:
        for f in admin.delete_topics([name], operation_timeout=10).values(): f.result()
        time.sleep(1)
    for f in admin.create_topics([NewTopic(name, partitions, 1, config={"retention.ms": "-1"})]).values(): f.result()

def delete(prefix):
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP})  # held: a client that is collected takes its futures with it
    names = [name for name in admin.list_topics(timeout=10).topics if name.startswith(prefix)]
    for f in (admin.delete_topics(names, operation_timeout=10) if names else {}).values(): f.result()

def order(rng, i, note=""):
    fields = {"id": f"order-{i:09d}", "customerId": rng.randrange(10000), "state": "CREATED", "product": PRODUCTS[i % 3],
              "quantity": rng.randrange(-1, 20), "price": round(rng.random() * 100, 2)}
    return json.dumps({**fields, "note": note} if note else fields).encode()

def load(name, n, keys, size):
    rng = random.Random(7)
    noise = base64.b64encode(rng.randbytes(1 << 20)).decode()  # does not compress by more than a quarter
    p = Producer({"bootstrap.servers": BOOTSTRAP, "linger.ms": 50, "batch.num.messages": 50000, "queue.buffering.max.messages": 1000000})
    base, more = 1_760_000_000_000, max(size - 120, 0)
    note = lambda i: noise[(at := i * 769 % (len(noise) - more)):at + more]
    for i in range(n):
        while True:
            try: p.produce(name, key=f"k{rng.randrange(keys)}", value=order(rng, i, note(i)), timestamp=base + i); break
            except BufferError: p.poll(0.1)
        if i % 10000 == 0: p.poll(0)
    p.flush()

def end_offsets(name):
    c = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "measure-ends"})
    parts = c.list_topics(name, timeout=10).topics[name].partitions
    ends = {p: c.get_watermark_offsets(TopicPartition(name, p), timeout=10)[1] for p in parts}
    c.close()
    return ends

def tree(pid):
    pids, todo = [], [pid]
    while todo:
        q = todo.pop(); pids.append(q)
        try: todo += [int(x) for x in open(f"/proc/{q}/task/{q}/children").read().split()]
        except OSError: pass
    return pids

def usage(pid):
    cpu = rss = 0
    for q in tree(pid):
        try:
            f = open(f"/proc/{q}/stat").read().rsplit(")", 1)[1].split()
            cpu += int(f[11]) + int(f[12])
            for line in open(f"/proc/{q}/status"):
                if line.startswith("VmHWM"): rss += int(line.split()[1])
        except OSError: pass
    return cpu / os.sysconf("SC_CLK_TCK"), rss / 1024

def stop(proc):
    proc.send_signal(signal.SIGTERM)
    try: proc.wait(25)
    except subprocess.TimeoutExpired: proc.kill(); proc.wait()

def drain(group, name, limit, cmd):
    ends = end_offsets(name); total = sum(ends.values())
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
    t0 = time.time(); proc = subprocess.Popen(cmd, stdout=subprocess.DEVNULL if not os.environ.get("SHOW") else None); points = []
    try:
        while time.time() - t0 < limit and proc.poll() is None:
            time.sleep(0.05)
            try:
                res = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], request_timeout=10)[group].result()
            except KafkaException: continue
            done = sum(max(tp.offset, 0) for tp in res.topic_partitions if tp.topic == name)
            cpu, rss = usage(proc.pid)
            if not points or done > points[-1][1]: points.append((time.time() - t0, done, cpu, rss))
            if done >= total: break
        else: print(json.dumps({"error": "did not finish", "last": points[-1:] , "total": total, "exit": proc.poll()})); return 1
        first = next(p for p in points if p[1] > 0); last = points[-1]
        warm = next(p for p in points if p[1] >= total * 0.3)
        print(json.dumps({"records": total, "ready_s": round(first[0], 2), "total_s": round(last[0], 2), "rate": int(total / last[0]),
              "steady_rate": int((last[1] - warm[1]) / max(last[0] - warm[0], 1e-9)), "cpu_us_per_record": round(last[2] / total * 1e6, 2),
              "steady_cpu_us": round((last[2] - warm[2]) / max(last[1] - warm[1], 1) * 1e6, 2), "rss_mb": round(last[3])}))
    finally: stop(proc)

def restore(tasks, limit, cmd):
    """Both say a line when a task begins to restore and one, with the number of rows, when it has; they are timed as they come."""
    t0 = time.time(); proc = subprocess.Popen(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    timer = threading.Timer(limit, proc.kill); timer.start()
    first = None; rows = 0; left = tasks
    try:
        for line in proc.stdout:
            if first is None and "restoring" in line: first = time.time()
            done = re.search(r"restored.*replayed_rows=(\d+)", line)
            if done: rows += int(done[1]); left -= 1
            if left == 0: break
        else: print(json.dumps({"error": "did not finish", "left": left, "exit": proc.poll()})); return 1
        now = time.time(); cpu, rss = usage(proc.pid)
        print(json.dumps({"rows": rows, "restore_s": round(now - first, 3), "rate": int(rows / max(now - first, 1e-9)), "total_s": round(now - t0, 2),
              "cpu_us_per_row": round(cpu / max(rows, 1) * 1e6, 2), "rss_mb": round(rss)}))
    finally:
        timer.cancel()
        threading.Thread(target=proc.stdout.read, daemon=True).start()  # nobody is to wait for a full pipe
        stop(proc)

def latency(src, dst, rate, seconds, cmd):
    proc = subprocess.Popen(cmd, stdout=subprocess.DEVNULL); got = []; stopping = threading.Event()
    def read():
        c = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "measure-latency", "isolation.level": "read_committed", "enable.auto.commit": False,
                      "fetch.wait.max.ms": 5, "fetch.queue.backoff.ms": 1})
        parts = c.list_topics(dst, timeout=10).topics[dst].partitions
        c.assign([TopicPartition(dst, p, c.get_watermark_offsets(TopicPartition(dst, p), timeout=10)[1]) for p in parts])
        while not stopping.is_set():
            for m in c.consume(500, 0.01):
                if m.error() is None and m.headers(): got.append((time.time(), float(dict(m.headers())["t"])))
        c.close()
    t = threading.Thread(target=read); t.start()
    try:
        time.sleep(8); rng = random.Random(3)
        p = Producer({"bootstrap.servers": BOOTSTRAP, "linger.ms": 0})
        start = time.time(); i = 0
        while time.time() - start < seconds:
            while i < (time.time() - start) * rate:
                p.produce(src, key=f"k{rng.randrange(1000)}", value=order(rng, i), headers={"t": repr(time.time())}); i += 1
            p.poll(0); time.sleep(0.001)
        p.flush(); time.sleep(2)
    finally: stopping.set(); t.join(); stop(proc)
    lat = sorted((a - b) * 1000 for a, b in got if b > start + min(5, seconds / 3))
    if not lat: print(json.dumps({"error": "nothing came out", "sent": i})); return 1
    q = lambda f: round(lat[min(int(len(lat) * f), len(lat) - 1)], 1)
    print(json.dumps({"sent": i, "received": len(got), "p50_ms": q(.5), "p99_ms": q(.99), "p999_ms": q(.999), "max_ms": round(lat[-1], 1)}))

def main(a):
    cmd = []
    if "--" in a: k = a.index("--"); a, cmd = a[:k], a[k + 1:]
    limit = 300
    if "--limit" in a: k = a.index("--limit"); limit = float(a[k + 1]); del a[k:k + 2]
    if a[:1] == ["topic"]: return topic(a[1], int(a[2]))
    if a[:1] == ["delete"]: return delete(a[1])
    if a[:1] == ["load"]: return load(a[1], int(a[2]), int(a[3]) if len(a) > 3 else 10000, int(a[4]) if len(a) > 4 else 0)
    if a[:1] == ["drain"]: return drain(a[1], a[2], limit, cmd)
    if a[:1] == ["restore"]: return restore(int(a[1]), limit, cmd)
    if a[:1] == ["latency"]: return latency(a[1], a[2], float(a[3]), float(a[4]), cmd)
    print(__doc__); return 2

if __name__ == "__main__": sys.exit(main(sys.argv[1:]))
