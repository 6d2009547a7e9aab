"""What is found to be a token or a private key, and keeps a folder from being published."""

import pytest

from chat.cli import UserError
from chat.hub.secrets import refuse_tokens

HUB, GITHUB = "aB3" * 12, "aB3" * 14


@pytest.mark.parametrize(
    "secret",
    [
        f"hf_{HUB}",
        *(f"gh{kind}_{HUB}" for kind in "pousr"),
        f"github_pat_{GITHUB}",
        f"AKIA{'AB12' * 4}",
        *(f"-----BEGIN {kind}PRIVATE KEY-----" for kind in ("", "RSA ", "OPENSSH ", "ENCRYPTED ")),
    ],
)
def test_a_secret_anywhere_is_refused_and_not_shown(secret, tmp_path):
    file = tmp_path / "chat" / "deep" / "notes.json"
    file.parent.mkdir(parents=True)
    file.write_text(f'{{"login": "{secret}"}}')
    with pytest.raises(UserError, match=r"^chat/deep/notes.json: holds a token or a private key") as error:
        refuse_tokens(tmp_path)
    assert secret not in str(error.value)


def test_names_in_a_program_and_bytes_of_weights_are_no_secrets(tmp_path):
    names = ("hf_hub_download", "hf_xet_high_performance_and_more_words", "ghp_short", "AKIA", f"shf_{HUB}")
    (tmp_path / "app.py").write_text("\n".join(names))
    (tmp_path / "model.safetensors").write_text(f"hf_{HUB}")
    refuse_tokens(tmp_path)
