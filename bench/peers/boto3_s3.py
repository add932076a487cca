"""boto3 at the work of the S3 figure: python boto3_s3.py endpoint=URL bucket=B objects=N size=BYTES in_flight=T

The same objects, environment and output as objects_s3. One client, whose connections the threads share, as boto3's documentation has it.
"""
import concurrent.futures
import json
import sys
import time

import boto3
import botocore.config


def main():
    options = dict(word.split("=", 1) for word in sys.argv[1:])
    objects, size, in_flight = (int(options[name]) for name in ("objects", "size", "in_flight"))
    bucket = options["bucket"]
    config = botocore.config.Config(max_pool_connections=in_flight, s3={"addressing_style": "path"})
    client = boto3.client("s3", endpoint_url=options["endpoint"], region_name="us-east-1", config=config)

    def bytes_of(i):
        return (b"%015d\0" % i) + bytes([ord("a") + i % 23]) * (size - 16)

    def put(i):
        client.put_object(Bucket=bucket, Key=f"bench/{i}", Body=bytes_of(i))

    def get(i):
        if client.get_object(Bucket=bucket, Key=f"bench/{i}")["Body"].read() != bytes_of(i):
            raise RuntimeError(f"bench/{i} came back with other bytes")

    with concurrent.futures.ThreadPoolExecutor(in_flight) as pool:
        def each(action, count):
            start = time.monotonic()
            list(pool.map(action, range(count)))
            return time.monotonic() - start

        each(put, min(objects, 2 * in_flight))
        each(get, min(objects, 2 * in_flight))
        put_s = each(put, objects)
        get_s = each(get, objects)
    print(json.dumps({"put_s": put_s, "get_s": get_s, "objects": objects, "bytes": size}))


if __name__ == "__main__":
    main()
