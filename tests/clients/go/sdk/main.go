// An AWS SDK for Go v2 program with the SDK's defaults: every operation a loader or a writer uses.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

var (
	bucket = aws.String(os.Getenv("S3_BUCKET"))
	prefix = os.Getenv("S3_PREFIX")
)

func key(name string) *string { return aws.String(prefix + name) }

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func same(what string, have, want []byte) {
	if !bytes.Equal(have, want) {
		fmt.Fprintf(os.Stderr, "%s: %d bytes are not the %d expected\n", what, len(have), len(want))
		os.Exit(1)
	}
}

func main() {
	ctx := context.Background()
	small := must(os.ReadFile(os.Getenv("FILE_SMALL")))
	big := must(os.ReadFile(os.Getenv("FILE_BIG")))
	client := s3.NewFromConfig(must(config.LoadDefaultConfig(ctx)), func(o *s3.Options) {
		o.BaseEndpoint = aws.String(os.Getenv("S3_ENDPOINT"))
		o.UsePathStyle = true
	})
	get := func(name string, span *string) []byte {
		answer := must(client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key(name), Range: span}))
		defer answer.Body.Close()
		return must(io.ReadAll(answer.Body))
	}

	must(client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key("small"), Body: bytes.NewReader(small)}))
	same("get", get("small", nil), small)
	same("hit", get("small", nil), small)
	same("range", get("small", aws.String("bytes=10-19")), small[10:20])
	for _, algorithm := range []types.ChecksumAlgorithm{types.ChecksumAlgorithmCrc32c,
		types.ChecksumAlgorithmSha256, types.ChecksumAlgorithmCrc64nvme} {
		must(client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key("sum"),
			Body: bytes.NewReader(small), ChecksumAlgorithm: algorithm}))
		same(string(algorithm), get("sum", nil), small)
	}
	head := must(client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key("small")}))
	if aws.ToInt64(head.ContentLength) != int64(len(small)) {
		fmt.Fprintln(os.Stderr, "head: wrong length")
		os.Exit(1)
	}
	up := manager.NewUploader(client, func(u *manager.Uploader) { u.PartSize = 5 << 20 })
	must(up.Upload(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key("dir/big"), Body: bytes.NewReader(big)}))
	buffer := manager.NewWriteAtBuffer(nil)
	down := manager.NewDownloader(client, func(d *manager.Downloader) { d.PartSize = 3 << 20 })
	must(down.Download(ctx, buffer, &s3.GetObjectInput{Bucket: bucket, Key: key("dir/big")}))
	same("multipart", buffer.Bytes(), big)
	must(client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: bucket, Key: key("copy"),
		CopySource: aws.String(*bucket + "/" + prefix + "small")}))
	same("copy", get("copy", nil), small)

	presigner := s3.NewPresignClient(client)
	signed := must(presigner.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key("copy")}))
	request := must(http.NewRequest(signed.Method, signed.URL, bytes.NewReader(big)))
	if answer := must(http.DefaultClient.Do(request)); answer.StatusCode != http.StatusOK {
		fmt.Fprintln(os.Stderr, "a presigned upload:", answer.Status)
		os.Exit(1)
	}
	same("presigned upload", get("copy", nil), big)
	signed = must(presigner.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key("copy")}))
	answer := must(http.Get(signed.URL))
	same("presigned", must(io.ReadAll(answer.Body)), big)

	var gone []types.ObjectIdentifier
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: bucket,
		Prefix: aws.String(prefix), MaxKeys: aws.Int32(2)})
	for pages.HasMorePages() {
		for _, object := range must(pages.NextPage(ctx)).Contents {
			gone = append(gone, types.ObjectIdentifier{Key: object.Key})
		}
	}
	if len(gone) != 4 {
		fmt.Fprintf(os.Stderr, "list: %d keys, not 4\n", len(gone))
		os.Exit(1)
	}
	must(client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: key("small")}))
	var missing *types.NoSuchKey
	if _, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key("small")}); !errors.As(err, &missing) {
		fmt.Fprintln(os.Stderr, "a deleted object was answered:", err)
		os.Exit(1)
	}
	done := must(client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: gone}}))
	if len(done.Errors) != 0 {
		fmt.Fprintln(os.Stderr, "delete:", *done.Errors[0].Message)
		os.Exit(1)
	}
}
