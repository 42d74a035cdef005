"""s3torchconnector as training uses it: checkpoints written and read, data sets by prefix and through a DataLoader."""
import os

import torch
from s3torchconnector import S3Checkpoint, S3ClientConfig, S3IterableDataset, S3MapDataset, S3ReaderConstructor
from torch.utils.data import DataLoader

from common import BIG, BUCKET, ENDPOINT, MIB, PREFIX, same

SHARDS = 6
AT = f"s3://{BUCKET}/{PREFIX}"
SHARED = {"region": os.environ["AWS_REGION"], "endpoint": ENDPOINT,
          "s3client_config": S3ClientConfig(force_path_style=True, part_size=5 * MIB, max_attempts=3)}


def shard(i):
    return BIG[i * MIB:(2 * i + 3) * MIB]


def read(item):
    return item.key, item.read()


def last_bytes(item):
    item.seek(-100, os.SEEK_END)
    return item.key, item.read(100)


def main():
    checkpoint = S3Checkpoint(**SHARED)
    for i in range(SHARDS):
        with checkpoint.writer(f"{AT}data/{i}") as writer:
            writer.write(shard(i))
    state = {"weights": torch.arange(3 << 20, dtype=torch.float32), "step": 7}
    with checkpoint.writer(f"{AT}model.pt") as writer:
        torch.save(state, writer)
    with checkpoint.reader(f"{AT}model.pt") as stored:
        loaded = torch.load(stored)
    same("step", loaded["step"], 7)
    same("weights", torch.equal(loaded["weights"], state["weights"]), True)

    names = [f"{PREFIX}data/{i}" for i in range(SHARDS)]
    for epoch in range(2):
        by_number = S3MapDataset.from_prefix(f"{AT}data/", **SHARED, transform=read)
        same("shards", len(by_number), SHARDS)
        for i in reversed(range(SHARDS)):
            same(f"shard {i}", by_number[i], (names[i], shard(i)))
        # Each worker brings its part.
        in_turn = S3IterableDataset.from_prefix(f"{AT}data/", **SHARED, transform=read, enable_sharding=True)
        loader = DataLoader(in_turn, batch_size=None, num_workers=2, multiprocessing_context="spawn")
        got = dict(loader)
        same("keys", sorted(got), names)
        for i, name in enumerate(names):
            same(name, bytes(got[name]), shard(i))
    ends = S3MapDataset.from_objects([f"{AT}data/{i}" for i in range(SHARDS)], **SHARED, transform=last_bytes,
                                     reader_constructor=S3ReaderConstructor.range_based())
    for i in range(SHARDS):
        same(f"end of shard {i}", ends[i], (names[i], shard(i)[-100:]))


if __name__ == "__main__":  # workers of the loader import this file, too
    main()
