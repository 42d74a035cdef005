import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import software.amazon.awssdk.core.ResponseBytes;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.model.ChecksumAlgorithm;
import software.amazon.awssdk.services.s3.model.CompletedPart;
import software.amazon.awssdk.services.s3.model.GetObjectResponse;
import software.amazon.awssdk.services.s3.model.NoSuchKeyException;
import software.amazon.awssdk.services.s3.model.ObjectIdentifier;

/** The AWS SDK for Java v2 with its defaults; a multipart upload by hand, as frameworks do it. */
public final class Client {
  private static final String BUCKET = System.getenv("S3_BUCKET");
  private static final String PREFIX = System.getenv("S3_PREFIX");

  private static void same(String what, byte[] have, byte[] want) {
    if (!Arrays.equals(have, want))
      throw new AssertionError(what + ": " + have.length + " bytes are not the " + want.length);
  }

  private static byte[] get(S3Client s3, String name, String range) {
    ResponseBytes<GetObjectResponse> answer =
        s3.getObjectAsBytes(r -> r.bucket(BUCKET).key(PREFIX + name).range(range));
    return answer.asByteArray();
  }

  private static void multipart(S3Client s3, String name, byte[] body) {
    String upload = s3.createMultipartUpload(r -> r.bucket(BUCKET).key(PREFIX + name)).uploadId();
    List<CompletedPart> parts = new ArrayList<>();
    int step = 5 << 20;
    for (int from = 0; from < body.length; from += step) {
      int number = parts.size() + 1;
      byte[] piece = Arrays.copyOfRange(body, from, Math.min(body.length, from + step));
      String etag = s3.uploadPart(r -> r.bucket(BUCKET).key(PREFIX + name).uploadId(upload)
          .partNumber(number), RequestBody.fromBytes(piece)).eTag();
      parts.add(CompletedPart.builder().partNumber(number).eTag(etag).build());
    }
    s3.completeMultipartUpload(r -> r.bucket(BUCKET).key(PREFIX + name).uploadId(upload)
        .multipartUpload(m -> m.parts(parts)));
  }

  public static void main(String[] arguments) throws Exception {
    byte[] small = Files.readAllBytes(Path.of(System.getenv("FILE_SMALL")));
    byte[] big = Files.readAllBytes(Path.of(System.getenv("FILE_BIG")));
    try (S3Client s3 = S3Client.builder().endpointOverride(URI.create(System.getenv("S3_ENDPOINT")))
        .forcePathStyle(true).build()) {
      s3.putObject(r -> r.bucket(BUCKET).key(PREFIX + "small"), RequestBody.fromBytes(small));
      for (int i = 0; i < 2; i++) same("get", get(s3, "small", null), small);
      same("range", get(s3, "small", "bytes=10-19"), Arrays.copyOfRange(small, 10, 20));
      for (ChecksumAlgorithm algorithm : List.of(ChecksumAlgorithm.CRC32, ChecksumAlgorithm.CRC32_C,
          ChecksumAlgorithm.SHA256)) {
        s3.putObject(r -> r.bucket(BUCKET).key(PREFIX + "sum").checksumAlgorithm(algorithm),
            RequestBody.fromBytes(small));
        same(algorithm.toString(), get(s3, "sum", null), small);
      }
      long length = s3.headObject(r -> r.bucket(BUCKET).key(PREFIX + "small")).contentLength();
      if (length != small.length) throw new AssertionError("head: " + length);
      multipart(s3, "dir/big", big);
      same("multipart", get(s3, "dir/big", null), big);
      s3.copyObject(r -> r.sourceBucket(BUCKET).sourceKey(PREFIX + "small")
          .destinationBucket(BUCKET).destinationKey(PREFIX + "copy"));
      same("copy", get(s3, "copy", null), small);
      List<ObjectIdentifier> listed = new ArrayList<>();
      s3.listObjectsV2Paginator(r -> r.bucket(BUCKET).prefix(PREFIX).maxKeys(2)).contents()
          .forEach(o -> listed.add(ObjectIdentifier.builder().key(o.key()).build()));
      if (listed.size() != 4) throw new AssertionError("list: " + listed.size());
      s3.deleteObject(r -> r.bucket(BUCKET).key(PREFIX + "small"));
      try {
        get(s3, "small", null);
        throw new AssertionError("a deleted object was read");
      } catch (NoSuchKeyException expected) {
        // as it must be
      }
      if (s3.deleteObjects(r -> r.bucket(BUCKET).delete(d -> d.objects(listed))).hasErrors())
        throw new AssertionError("delete");
    }
  }
}
