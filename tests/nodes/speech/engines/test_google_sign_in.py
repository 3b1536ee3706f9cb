"""Sign-in of `google` over TLS, with broken keys and a valid one."""

import base64
import json
import os
import subprocess
import sys

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import ValidationError

from flowcore import CannotStart
from nodes.speech.engines.google import Google, sign_in
from tools.fake_google import FakeGoogle

pytestmark = pytest.mark.slow

CLIENT = """
import sys
from queue import Queue
from tools.fake_google import mulaw
from flowcore.speech import Ended
from nodes.speech.engines.google import Google

engine = Google(Google.Config(credentials=sys.argv[1], endpoint=sys.argv[2]))
engine.open()
heard = Queue()
stream = engine.stream("mulaw", 8000, heard.put)
stream.send(mulaw([(5, 0.1, 0.4)], 0.5))
stream.end()
while not isinstance(event := heard.get(timeout=30), Ended):
    if event.final:
        print(event.text)
print(event.error)
engine.close()
"""


def key_file(folder):
    """A service account's key, as Google's console hands it out; nobody's."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    path = folder / "key.json"
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "call-centre",
                "private_key_id": "1",
                "private_key": pem,
                "client_email": "calls@call-centre.iam.gserviceaccount.com",
                "token_uri": "https://127.0.0.1:9/token",
            }
        )
    )
    return path


@pytest.mark.slow
def test_a_key_signs_its_own_tokens_and_names_the_project(tmp_path):
    authority = trustme.CA()
    server = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate = (server.private_key_pem.bytes(), server.cert_chain_pems[0].bytes())
    with FakeGoogle(certificate=certificate) as google:
        endpoint = google.address.replace("127.0.0.1", "localhost")
        # gRPC reads its roots once in a process, so this is one of its own.
        done = subprocess.run(
            [sys.executable, "-c", CLIENT, str(key_file(tmp_path)), endpoint],
            env={
                **os.environ,
                "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(tmp_path / "ca.pem"),
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.stdout.splitlines() == ["w5", "None"], done.stderr
    (stream,) = google.streams
    assert stream.config["recognizer"] == "projects/call-centre/locations/global/recognizers/_"
    scheme, token = stream.metadata["authorization"].split()
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert scheme == "Bearer"
    assert claims["iss"] == "calls@call-centre.iam.gserviceaccount.com"


def test_a_key_that_is_none_is_told_in_one_line(tmp_path):
    with pytest.raises(CannotStart, match=r"cannot read .*missing.json: No such file"):
        sign_in(str(tmp_path / "missing.json"))
    for content in ("no json", "{}", '{"type": "service_account"}', "[]"):
        path = tmp_path / "key.json"
        path.write_text(content)
        with pytest.raises(CannotStart, match=r"key.json is not a key file of a service account: name a service"):
            sign_in(str(path))


def test_v2_needs_a_project_and_plaintext_stays_on_this_machine(tmp_path):
    with pytest.raises(ValidationError, match="on this machine only"):
        Google.Config(plaintext=True)
    with pytest.raises(ValidationError, match="on this machine only"):
        Google.Config(plaintext=True, endpoint="speech.example.com:443")
    assert Google.Config(plaintext=True, endpoint="[::1]:8700").plaintext
    assert Google.Config(plaintext=True, endpoint="localhost:8700").plaintext
    with pytest.raises(ValidationError, match="v2 takes 2"):
        Google.Config(other_languages=("de", "fr", "it"))
    Google.Config(version=1, other_languages=("de", "fr", "it"))
    for wrong in ({"language": "de_DE"}, {"other_languages": ("fr", "German language")}):
        with pytest.raises(ValidationError, match="is no language tag: write it like de-DE"):
            Google.Config(**wrong)
    path = key_file(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "project_id": ""}))
    with pytest.raises(CannotStart, match="belong to no project"):
        Google(Google.Config(credentials=str(path))).open()


def test_a_location_has_an_address_of_its_own():
    assert Google().address == "speech.googleapis.com"
    assert Google(Google.Config(location="eu")).address == "eu-speech.googleapis.com"
    assert Google(Google.Config(location="eu", endpoint="10.0.0.1:443")).address == "10.0.0.1:443"
