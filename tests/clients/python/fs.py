"""s3fs, as pandas, Dask and many loaders use it."""
import fsspec

from common import BIG, BUCKET, ENDPOINT, MIB, PREFIX, SMALL, same

fs = fsspec.filesystem("s3", endpoint_url=ENDPOINT, default_block_size=5 * MIB,
                       skip_instance_cache=True)
root = f"{BUCKET}/{PREFIX}"
fs.pipe(root + "small", SMALL)
same("cat", fs.cat(root + "small"), SMALL)
same("range", fs.cat_file(root + "small", start=10, end=20), SMALL[10:20])
same("info", fs.info(root + "small")["size"], len(SMALL))
with fs.open(root + "dir/big", "wb", block_size=5 * MIB) as out:  # a multipart upload
    out.write(BIG)
with fs.open(root + "dir/big", "rb", block_size=MIB) as back:
    back.seek(3 * MIB + 7)
    same("seek and read", back.read(100_000), BIG[3 * MIB + 7:3 * MIB + 100_007])
same("whole", fs.cat(root + "dir/big"), BIG)
fs.copy(root + "small", root + "copy")
same("copy", fs.cat(root + "copy"), SMALL)
fs.invalidate_cache()
same("find", sorted(fs.find(root)), [root + "copy", root + "dir/big", root + "small"])
same("ls", sorted(e["name"] for e in fs.ls(root, detail=True)),
     [root + "copy", root + "dir", root + "small"])
fs.rm(root, recursive=True)
fs.invalidate_cache()
same("left", fs.find(root), [])
