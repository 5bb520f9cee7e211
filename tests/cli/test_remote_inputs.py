"""URLs, archives and lists as a user gives them to the program."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from servers import Bucket, Web, bucket, s3_port, silent, web

from geolocate.cli import cli
from geolocate.decode_processes import _without_credentials
from geolocate.writers.outputs import Writers

__all__ = ["bucket", "s3_port", "web"]

ROOT = Path(__file__).resolve().parents[2]
HASTY = ("--fetch-timeout", "0.5")


def run(*words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["predict", "-q", *words], input=stdin)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def without_names(text: str) -> list[dict[str, str]]:
    """Rows, but for what the photos are called."""
    return sorted(
        ({key: value for key, value in row.items() if key != "photo"} for row in rows(text)), key=str
    )


@pytest.fixture
def plain(drawn_photos: Path) -> list[dict[str, str]]:
    """The rows of the photos in their folder."""
    return without_names(run(os.fspath(drawn_photos), "--csv", "-").stdout)


def test_a_prefix_of_a_store_has_the_rows_of_the_folder(
    bucket: Bucket, drawn_photos: Path, plain: list[dict[str, str]]
) -> None:
    for photo in drawn_photos.iterdir():
        bucket.put(f"trip/{photo.name}", photo.read_bytes())
    result = run("s3://album/trip/", "--csv", "-")
    assert result.exit_code == 0, result.output
    assert without_names(result.stdout) == plain
    assert [row["photo"] for row in rows(result.stdout)] == [
        f"s3://album/trip/{name}" for name in sorted(os.listdir(drawn_photos))
    ]
    assert "a-s3cret-key" not in result.output


def test_faults_of_a_store_are_rows_and_stop_nothing(
    bucket: Bucket, drawn_photos: Path, tmp_path: Path
) -> None:
    photo = next(drawn_photos.iterdir()).read_bytes()
    for name in ("a", "b", "c", "d"):
        bucket.put(f"trip/{name}.jpg", photo)
    bucket.break_at("trip/b.jpg", lambda handler: handler.say(500))
    bucket.break_at("trip/c.jpg", silent)
    bucket.put("trip/d.jpg", b"no photo")
    output = tmp_path / "out.csv"
    result = run("s3://album/trip/", "s3://album/none.jpg", *HASTY, "--csv", os.fspath(output))
    assert result.exit_code == 3, result.output
    assert {row["photo"].rpartition("/")[2]: row["error"] for row in rows(output.read_text())} == {
        "a.jpg": "",
        "b.jpg": "the server said 500 after 4 tries",
        "c.jpg": "no answer in 0.5 s after 4 tries",
        "d.jpg": "not a photo: the content is no image format that is decoded",
        "none.jpg": "not found (404)",
    }
    for file in tmp_path.iterdir():
        assert b"a-s3cret-key" not in file.read_bytes()


def test_a_prefix_that_cannot_be_listed_is_refused_before_any_work(bucket: Bucket, tmp_path: Path) -> None:
    result = run("s3://album/none/", "--csv", os.fspath(tmp_path / "out.csv"))
    assert result.exit_code == 2
    assert "s3://album/none/ cannot be listed: not found (404)" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("isolate", [[], ["--isolate"]])
def test_archives_have_the_rows_of_the_folder(
    tmp_path: Path, drawn_photos: Path, plain: list[dict[str, str]], isolate: list[str]
) -> None:
    packed = tmp_path / "photos.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for photo in drawn_photos.iterdir():
            archive.write(photo, f"sub/{photo.name}")
    shards = [tmp_path / f"shard-{number:03}.tar" for number in range(2)]
    for number, shard in enumerate(shards):
        with tarfile.open(shard, "w") as tar:
            for photo in sorted(drawn_photos.iterdir())[number::2]:
                tar.add(photo, photo.name)
    for words in ([os.fspath(packed)], [os.fspath(tmp_path / "shard-{000..001}.tar")]):
        result = run(*words, *isolate, "--csv", "-")
        assert result.exit_code == 0, result.output
        assert without_names(result.stdout) == plain


def test_a_shard_at_a_url_is_read_twice_for_an_album_and_gives_the_rows_of_the_folder(
    web: Web, drawn_photos: Path, plain: list[dict[str, str]]
) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for photo in sorted(drawn_photos.iterdir()):
            tar.add(photo, photo.name)
    url = web.gives("/shard.tar.gz", gzip.compress(packed.getvalue()))
    by_folder = run(os.fspath(drawn_photos), "--album", "--csv", "-")
    result = run(url, "--album", "--csv", "-")
    assert result.exit_code == 0, result.output
    assert without_names(result.stdout) == without_names(by_folder.stdout)
    single = [web.gives(f"/{photo.name}", photo.read_bytes()) for photo in sorted(drawn_photos.iterdir())]
    assert without_names(run(*single, "--album", "--csv", "-").stdout) == without_names(by_folder.stdout)
    assert without_names(run(*single, "--csv", "-").stdout) == plain


def test_lists_name_photos_wherever_they_are(
    web: Web, drawn_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photo = next(drawn_photos.iterdir())
    (tmp_path / "a.jpg").write_bytes(photo.read_bytes())
    url = web.gives("/b.jpg?id=1", photo.read_bytes())
    (tmp_path / "list.csv").write_text(f"n,url\n1,{url}\n2,{web.url}/none.jpg\n", encoding="utf-8")
    (tmp_path / "list.txt").write_text(
        "a.jpg\nnone.jpg\nftp://h/x.jpg\nfile://other/x.jpg\n", encoding="utf-8"
    )
    result = run("a.jpg", "--from", "list.csv", "--from", "list.txt", *HASTY, "--csv", "-")
    assert result.exit_code == 3, result.output
    found = [(row["photo"], bool(row["rank"])) for row in rows(result.stdout)]
    assert found == [
        ("a.jpg", True),
        (url, True),
        (f"{web.url}/none.jpg", False),
        ("a.jpg", True),
        ("none.jpg", False),
        ("ftp://h/x.jpg", False),
        ("file://other/x.jpg", False),
    ]
    by_stdin = run("-", *HASTY, "--csv", "-", stdin=f"{url}\na.jpg\n")
    assert [row["photo"] for row in rows(by_stdin.stdout)] == [url, "a.jpg"]
    (tmp_path / "list.csv").write_text(f"n, url\n1, {url} \n", encoding="utf-8")
    assert [row["photo"] for row in rows(run("--from", "list.csv", *HASTY, "--csv", "-").stdout)] == [url]
    assert run("--from", "none.txt", "--csv", "-").exit_code == 2
    assert run("--from", "list.txt", "--csv", "list.txt").exit_code == 2  # no output replaces a list


def test_no_secret_of_a_url_is_written_or_said_and_resume_goes_on(
    web: Web, drawn_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = next(drawn_photos.iterdir()).read_bytes()
    urls = [web.gives(f"/{n}.jpg?X-Amz-Signature=s3cret{n}", photo) for n in range(6)]
    urls.append(f"{web.url}/none.jpg?token=s3cret")
    output = tmp_path / "out.csv"
    words = [
        *urls,
        *HASTY,
        "--batch-size",
        "1",
        "--csv",
        os.fspath(output),
        "--jsonl",
        os.fspath(output) + "l",
    ]
    write, written = Writers.write, 0

    def interrupted(self: Writers, prediction: object) -> None:
        nonlocal written
        if (written := written + 1) > 3:
            raise KeyboardInterrupt
        write(self, prediction)  # type: ignore[arg-type]

    monkeypatch.setattr(Writers, "write", interrupted)
    ended = run(*words)
    assert ended.exit_code != 0
    monkeypatch.setattr(Writers, "write", write)
    assert (tmp_path / "out.csv.journal").is_file()
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    web.asked.clear()
    result = run(*words, "--resume")
    assert result.exit_code == 3, result.output
    assert not [asked for asked in web.asked if asked.startswith(("GET /0", "GET /1", "GET /2"))]
    shown = [row["photo"] for row in rows(output.read_text())]
    assert shown == [url.partition("=")[0] + "=REDACTED" for url in urls]
    assert json.loads((tmp_path / "out.csv.manifest.json").read_text())["inputs"] == shown
    left |= {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert [name for name, data in left.items() if b"s3cret" in data] == []
    assert "s3cret" not in result.output + ended.output


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    for words, stdin in (
        (["https://user:s3cret@host/a.jpg"], None),
        (["-", "--csv", "-"], "s3://k:s3cret@b/a.jpg\n"),
    ):
        result = run(*words, stdin=stdin)
        assert result.exit_code in (2, 3)
        assert "a name or password in it is refused" in result.output
        assert "s3cret" not in result.output


def test_a_run_of_urls_asks_only_the_hosts_that_are_allowed(web: Web, drawn_photos: Path) -> None:
    url = web.gives("/a.jpg", next(drawn_photos.iterdir()).read_bytes())
    assert run(url, "--allow-host", "127.0.0.1", "--csv", "-").exit_code == 0
    web.asked.clear()
    result = run(url, "--allow-host", "example.org", "--csv", "-")
    assert result.exit_code == 3
    assert "not among those of --allow-host" in result.output
    assert web.asked == []


def test_larger_photos_than_allowed_are_rows_with_that_reason(web: Web, drawn_photos: Path) -> None:
    url = web.gives("/a.jpg", next(drawn_photos.iterdir()).read_bytes())
    result = run(url, "--max-bytes", "1000", "--csv", "-")
    assert result.exit_code == 3
    assert "larger than 1,000 bytes, the limit of --max-bytes" in result.output


def test_decoders_of_strangers_photos_get_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "GOOGLE_APPLICATION_CREDENTIALS", "MY_TOKEN"):
        monkeypatch.setenv(name, "s3cret")
    monkeypatch.setenv("LANG", "C.UTF-8")
    kept = _without_credentials()
    assert "s3cret" not in kept.values()
    assert kept["LANG"] == "C.UTF-8"
    assert kept["PATH"] == os.environ["PATH"]


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_ctrl_c_does_not_wait_for_a_silent_server(web: Web, tmp_path: Path) -> None:
    web.rules["/"] = silent
    words = [sys.executable, "-m", "geolocate", f"{web.url}/a.jpg", "--csv", os.fspath(tmp_path / "out.csv")]
    environment = os.environ | {"TMPDIR": os.fspath(tmp_path)}
    with subprocess.Popen(words, cwd=ROOT, env=environment, stderr=subprocess.PIPE) as program:
        while not web.asked:
            assert program.poll() is None
            web.stopping.wait(0.05)
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=15)
    assert program.returncode == 130
    assert list(tmp_path.iterdir()) == []


def test_a_run_over_local_photos_loads_nothing_that_reads_urls(drawn_photos: Path) -> None:
    names = ("fsspec", "s3fs", "aiohttp", "botocore", "urllib.request", "geolocate.sources.web")
    code = (
        "import sys, geolocate.cli as cli\n"
        f"try: cli.cli.main(['-q', '--csv', '-', {os.fspath(drawn_photos)!r}])\n"
        "except SystemExit as e: assert not e.code, e.code\n"
        f"print('LOADED', *[name for name in {names!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "LOADED"


def test_archives_and_lists_of_this_machine_open_no_connection(drawn_photos: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        tar.add(drawn_photos / "alps.jpg", "alps.jpg")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.write(drawn_photos / "alps.jpg", "alps.jpg")
    (tmp_path / "list.txt").write_text("x.zip\nfile://" + os.fspath(drawn_photos) + "\n", encoding="utf-8")
    code = (
        "import sys\n"
        "def refuse(event, args):\n"
        "    assert not event.startswith('socket.') or event == 'socket.__new__', event\n"
        "sys.addaudithook(refuse)\n"
        "import geolocate.cli as cli\n"
        "cli.cli.main(['-q', '--csv', '-', 'x.tar.gz', '--from', 'list.txt'])"
    )
    environment = os.environ | {"PYTHONPATH": os.fspath(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(rows(done.stdout)) == 2 + len(os.listdir(drawn_photos))
