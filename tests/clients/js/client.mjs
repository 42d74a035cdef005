// The AWS SDK for JavaScript v3 with its defaults, and its multipart uploader.
import { readFileSync } from "node:fs";
import {
  CopyObjectCommand, DeleteObjectCommand, DeleteObjectsCommand, GetObjectCommand,
  HeadObjectCommand, PutObjectCommand, S3Client, paginateListObjectsV2,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { Upload } from "@aws-sdk/lib-storage";

const { S3_ENDPOINT, S3_BUCKET: Bucket, S3_PREFIX, FILE_SMALL, FILE_BIG } = process.env;
const small = readFileSync(FILE_SMALL);
const big = readFileSync(FILE_BIG);
const s3 = new S3Client({ endpoint: S3_ENDPOINT, forcePathStyle: true });
const key = (name) => S3_PREFIX + name;

function same(what, have, want) {
  if (Buffer.compare(Buffer.from(have), Buffer.from(want)) !== 0)
    throw new Error(`${what}: ${have.length} bytes are not the ${want.length} expected`);
}
async function get(name, more = {}) {
  const answer = await s3.send(new GetObjectCommand({ Bucket, Key: key(name), ...more }));
  return answer.Body.transformToByteArray();
}

await s3.send(new PutObjectCommand({ Bucket, Key: key("small"), Body: small }));
for (let i = 0; i < 2; i++) same("get", await get("small"), small);
same("range", await get("small", { Range: "bytes=10-19" }), small.subarray(10, 20));
for (const ChecksumAlgorithm of ["CRC32", "CRC32C", "SHA256"]) {
  await s3.send(new PutObjectCommand({ Bucket, Key: key("sum"), Body: small, ChecksumAlgorithm }));
  same(ChecksumAlgorithm, await get("sum"), small);
}
const head = await s3.send(new HeadObjectCommand({ Bucket, Key: key("small") }));
if (head.ContentLength !== small.length) throw new Error("head: wrong length");
await new Upload({ client: s3, partSize: 5 << 20, params: { Bucket, Key: key("dir/big"), Body: big } }).done();
same("multipart", await get("dir/big"), big);
await s3.send(new CopyObjectCommand({ Bucket, Key: key("copy"), CopySource: `${Bucket}/${key("small")}` }));
same("copy", await get("copy"), small);
// With the SDK's defaults: the URL has the checksum of an empty body in its query.
const up = await getSignedUrl(s3, new PutObjectCommand({ Bucket, Key: key("copy") }), { expiresIn: 600 });
const uploaded = await fetch(up, { method: "PUT", body: big });
if (!uploaded.ok) throw new Error(`a presigned upload: ${uploaded.status} ${await uploaded.text()}`);
same("presigned upload", await get("copy"), big);
const down = await fetch(await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key: key("copy") })));
same("presigned", await down.arrayBuffer(), big);
const listed = [];
for await (const page of paginateListObjectsV2({ client: s3, pageSize: 2 }, { Bucket, Prefix: S3_PREFIX }))
  listed.push(...page.Contents.map((o) => ({ Key: o.Key })));
if (listed.length !== 4) throw new Error(`list: ${listed.length} keys, not 4`);
await s3.send(new DeleteObjectCommand({ Bucket, Key: key("small") }));
const gone = await get("small").then(() => "read", (error) => error.name);
if (gone !== "NoSuchKey") throw new Error(`a deleted object was ${gone}`);
const done = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: listed } }));
if (done.Errors?.length) throw new Error("delete: " + JSON.stringify(done.Errors));
