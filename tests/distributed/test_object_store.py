"""OUTPUT in an object store, against a server on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("s3fs", reason="needs s3fs (the extra 'remote')")

from moto.server import ThreadedMotoServer

from geolocate.distributed.store import ObjectStore, open_store
from geolocate.errors import ExtraMissing, OutputError, UsageError


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The URL of an empty bucket of a server of our own."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "the-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("results")
        yield "s3://results"
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def test_files_are_written_listed_read_and_removed(bucket: str) -> None:
    store = open_store(f"{bucket}/job/")
    assert isinstance(store, ObjectStore)
    assert str(store) == "s3://results/job"
    assert store.sizes() == {}
    store.put("job.json", b"1")
    store.put("plan/000000.json", b"22")
    store.put("job.json", b"333")
    open_store(f"{bucket}/job2").put("other", b"")
    assert store.sizes() == {"job.json": 3, "plan/000000.json": 2}
    assert store.read(["plan/000000.json", "job.json"]) == [b"22", b"333"]
    store.remove(["job.json"])
    assert store.sizes() == {"plan/000000.json": 2}


def test_faults_are_told_without_what_the_client_says(bucket: str) -> None:
    with pytest.raises(OutputError, match="no such bucket or file"):
        open_store("s3://nowhere/x").put("job.json", b"")
    with pytest.raises(OutputError, match="no such bucket or file"):
        open_store(bucket).read(["missing"])


@pytest.mark.parametrize("url", ["s3://key:secret@bucket/x", "s3://bucket/x?X-Amz-Signature=secret"])
def test_credentials_in_a_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="holds credentials") as refused:
        open_store(url)
    assert "secret" not in str(refused.value)


def test_stores_that_cannot_be_written_to_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="nosuch://"):
        open_store("nosuch://bucket/x")
    with pytest.raises(UsageError, match="names no bucket"):
        open_store("s3://")
    with pytest.raises(ExtraMissing, match="pip install"):
        open_store("gs://bucket/x")
