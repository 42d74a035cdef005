//! The AWS SDK for Rust with its defaults: every operation that a loader or a writer uses.
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier,
};
use aws_sdk_s3::Client;
use std::env::var;
use std::process::exit;

const PART_BYTES: usize = 5 << 20;

fn same<T: PartialEq + std::fmt::Debug>(what: &str, have: T, want: T) {
    if have != want {
        let told = |value: T| format!("{value:?}").chars().take(200).collect::<String>();
        eprintln!("{what}: {}, not {}", told(have), told(want));
        exit(1);
    }
}

struct Under {
    client: Client,
    bucket: String,
    prefix: String,
}

impl Under {
    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    async fn put(&self, name: &str, body: &[u8], sum: Option<ChecksumAlgorithm>) {
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(self.key(name))
            .body(ByteStream::from(body.to_vec()))
            .set_checksum_algorithm(sum)
            .metadata("who", "rust")
            .send()
            .await
            .expect("put");
    }

    async fn get(&self, name: &str, range: Option<&str>) -> Vec<u8> {
        let request = self.client.get_object().bucket(&self.bucket).key(self.key(name));
        let answer = request.set_range(range.map(String::from)).send().await.expect("get");
        answer.body.collect().await.expect("a body").to_vec()
    }

    async fn put_in_parts(&self, name: &str, body: &[u8]) {
        let (client, bucket, key) = (&self.client, &self.bucket, self.key(name));
        let begun = client.create_multipart_upload().bucket(bucket).key(&key).send().await;
        let upload = begun.expect("create upload").upload_id.expect("an upload id");
        let mut parts = CompletedMultipartUpload::builder();
        for (part, number) in body.chunks(PART_BYTES).zip(1..) {
            let request = client.upload_part().bucket(bucket).key(&key).upload_id(&upload);
            let sent = request.part_number(number).body(ByteStream::from(part.to_vec())).send();
            let sent = sent.await.expect("part");
            parts = parts.parts(
                CompletedPart::builder()
                    .part_number(number)
                    .set_e_tag(sent.e_tag)
                    .build(),
            );
        }
        let request = client.complete_multipart_upload().bucket(bucket).key(&key);
        let done = request.upload_id(&upload).multipart_upload(parts.build()).send().await;
        done.expect("complete upload");
    }

    async fn list(&self) -> Vec<String> {
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(&self.prefix);
        let mut pages = request.max_keys(2).into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            keys.extend(page.expect("list").contents().iter().map(|o| o.key().unwrap().to_owned()));
        }
        keys
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let small = std::fs::read(var("FILE_SMALL").unwrap()).unwrap();
    let big = std::fs::read(var("FILE_BIG").unwrap()).unwrap();
    let http = aws_smithy_http_client::Builder::new().build_http();
    let shared = aws_config::from_env().http_client(http).load().await;
    let config = aws_sdk_s3::config::Builder::from(&shared)
        .endpoint_url(var("S3_ENDPOINT").unwrap())
        .force_path_style(true)
        .build();
    let s3 = Under {
        client: Client::from_conf(config),
        bucket: var("S3_BUCKET").unwrap(),
        prefix: var("S3_PREFIX").unwrap(),
    };

    s3.put("small", &small, None).await;
    same("get", s3.get("small", None).await, small.clone());
    same("hit", s3.get("small", None).await, small.clone());
    same("range", s3.get("small", Some("bytes=10-19")).await, small[10..20].to_vec());
    same("suffix", s3.get("small", Some("bytes=-7")).await, small[small.len() - 7..].to_vec());
    for sum in [ChecksumAlgorithm::Crc32C, ChecksumAlgorithm::Sha256, ChecksumAlgorithm::Crc64Nvme] {
        s3.put("sum", &small, Some(sum)).await;
        same("checksum", s3.get("sum", None).await, small.clone());
    }
    let request = s3.client.head_object().bucket(&s3.bucket).key(s3.key("small"));
    let head = request.send().await.expect("head");
    same("length", head.content_length(), Some(small.len() as i64));
    same("metadata", head.metadata().and_then(|m| m.get("who")).cloned(), Some("rust".to_owned()));

    s3.put_in_parts("dir/big", &big).await;
    same("in parts", s3.get("dir/big", None).await, big.clone());
    let source = format!("{}/{}", s3.bucket, s3.key("dir/big"));
    let request = s3.client.copy_object().bucket(&s3.bucket).key(s3.key("copy"));
    request.copy_source(source).send().await.expect("copy");
    same("copy", s3.get("copy", None).await, big);

    let request = s3.client.get_object().bucket(&s3.bucket).key(s3.key("small"));
    let again = request.if_none_match(head.e_tag().unwrap()).send().await;
    let status = again.err().and_then(|e| e.raw_response().map(|r| r.status().as_u16()));
    same("conditional", status, Some(304));

    let mut names = s3.list().await;
    same("list", names.clone(), ["copy", "dir/big", "small", "sum"].map(|n| s3.key(n)).to_vec());
    let small_key = s3.key("small");
    let request = s3.client.delete_object().bucket(&s3.bucket).key(&small_key);
    request.send().await.expect("delete");
    let request = s3.client.get_object().bucket(&s3.bucket).key(&small_key);
    match request.send().await.map_err(|e| e.into_service_error()) {
        Err(GetObjectError::NoSuchKey(_)) => {}
        Err(error) => same("a deleted object", error.code(), Some("NoSuchKey")),
        Ok(_) => same("a deleted object", "read", "refused"),
    }
    names.retain(|name| *name != small_key);
    let gone = names.iter().map(|n| ObjectIdentifier::builder().key(n).build().unwrap());
    let gone = Delete::builder().set_objects(Some(gone.collect())).build().unwrap();
    let done = s3.client.delete_objects().bucket(&s3.bucket).delete(gone).send().await;
    same("errors", done.expect("delete many").errors().len(), 0);
    same("left", s3.list().await.len(), 0);
}
