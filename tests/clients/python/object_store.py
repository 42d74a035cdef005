"""obstore: Rust's object_store, as Polars, delta-rs, Zarr and LanceDB use it."""
import datetime
import os
import urllib.request

import obstore
from obstore.exceptions import AlreadyExistsError, NotModifiedError, PreconditionError
from obstore.store import S3Store

from common import BIG, BUCKET, ENDPOINT, MIB, PREFIX, SMALL, same

store = S3Store(BUCKET, prefix=PREFIX.rstrip("/"), endpoint=ENDPOINT, region=os.environ["AWS_REGION"],
                client_options={"allow_http": ENDPOINT.startswith("http:")})


def read(name, **options):
    return obstore.get(store, name, **options).bytes().to_bytes()


def refused(what, wanted, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except wanted:
        return
    raise SystemExit(f"{what} was not refused")


first = obstore.put(store, "small", SMALL, attributes={"Content-Type": "text/plain", "who": "obstore"})
for _ in range(2):
    same("get", read("small"), SMALL)
answer = obstore.get(store, "small")
same("attributes", dict(answer.attributes), {"Content-Type": "text/plain", "who": "obstore"})
same("meta", (answer.meta["size"], answer.meta["e_tag"]), (len(SMALL), first["e_tag"]))
same("head", obstore.head(store, "small")["size"], len(SMALL))
obstore.put(store, "dir/big", BIG, use_multipart=True, chunk_size=5 * MIB, max_concurrency=3)
for _ in range(2):
    same("in parts", read("dir/big"), BIG)
same("range", obstore.get_range(store, "dir/big", start=3 * MIB + 7, length=100_000).to_bytes(),
     BIG[3 * MIB + 7:3 * MIB + 100_007])
bounds = [0, 5 * MIB, 9 * MIB, 17 * MIB]
same("ranges", [b.to_bytes() for b in obstore.get_ranges(store, "dir/big", starts=bounds, lengths=[99] * 4)],
     [BIG[at:at + 99] for at in bounds])
same("stream", b"".join(bytes(b) for b in obstore.get(store, "dir/big").stream(min_chunk_size=MIB)), BIG)

same("get if changed", read("small", options={"if_match": first["e_tag"]}), SMALL)
refused("the same again", NotModifiedError, read, "small", options={"if_none_match": first["e_tag"]})
refused("another's", PreconditionError, read, "small", options={"if_match": '"none"'})
refused("a second create", AlreadyExistsError, obstore.put, store, "small", b"no", mode="create",
        use_multipart=False)
obstore.put(store, "small", SMALL[::-1], mode={"e_tag": first["e_tag"]}, use_multipart=False)
same("compare and swap", read("small"), SMALL[::-1])
refused("a swap of what has gone", PreconditionError, obstore.put, store, "small", b"no",
        mode={"e_tag": first["e_tag"]}, use_multipart=False)

def presigned(method, body=None):
    url = obstore.sign(store, method, "small", datetime.timedelta(minutes=5))
    with urllib.request.urlopen(urllib.request.Request(url, body, method=method), timeout=30) as answer:
        return answer.read()


presigned("PUT", SMALL)
same("presigned", presigned("GET"), SMALL)

obstore.copy(store, "dir/big", "copy")
same("copy", read("copy"), BIG)
obstore.rename(store, "copy", "dir/moved +&ü")
same("rename", read("dir/moved +&ü"), BIG)
names = sorted(o["path"] for page in obstore.list(store, chunk_size=2) for o in page)
same("list", names, ["dir/big", "dir/moved +&ü", "small"])
one_level = obstore.list_with_delimiter(store)
same("folders", (one_level["common_prefixes"], [o["path"] for o in one_level["objects"]]),
     (["dir"], ["small"]))
obstore.delete(store, names)
same("left", [o for page in obstore.list(store) for o in page], [])
refused("a deleted object", FileNotFoundError, read, "small")
