# SPDX-License-Identifier: GPL-3.0-or-later
"""What git may be given: tables of good and bad addresses, branches and names."""

from __future__ import annotations

import time

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._dev_container._spec import folder_name
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import UsageError
from ansible_collections.fuel_code.remote.plugins.module_utils._workspace._names import (
    check_branch,
    check_text,
    looks_like_url,
    parse_url,
    repository_name,
    without_credentials,
)


def nowhere(_name):
    return []


GOOD = [
    "https://github.com/owner/repo.git",
    "https://github.com/owner/repo",
    "https://user:token@git.example.com/a/b.git",
    "https://git.example.com:8443/a/b.git",
    "ssh://git@github.com/owner/repo.git",
    "ssh://git@git.example.com:2222/owner/repo.git",
    "git@github.com:owner/repo.git",
    "git.example.com:owner/repo.git",
    "git@[2001:db8::1]:owner/repo.git",
    "https://10.1.2.3/team/repo.git",
    "https://gitlab.internal/team/with%20space.git",
    "file:///srv/git/repo.git",
    "https://example.com/a/b~c/d.git",
]

BAD = [
    "",
    "ext::sh -c touch% /tmp/pwned",
    "EXT::sh -c id",
    "fd::17/foo",
    "transport::https://example.com/x",
    "--upload-pack=touch /tmp/pwned",
    "-oProxyCommand=touch /tmp/pwned",
    "-u",
    "ssh://-oProxyCommand=touch/x",
    "ssh://-oProxyCommand=touch%20pwned@host/x",
    "-oProxyCommand=x@host:repo",
    "git@-oProxyCommand=x:repo",
    "git@host:-oProxyCommand=x",
    "git@host:--upload-pack=x",
    "ssh://git@host/-oProxyCommand=x",
    "ssh://git@host/--upload-pack=x",
    "https://example.com/a\nb",
    "https://example.com/a\r\nHost: evil",
    "https://example.com/%0ahost=evil",
    "https://example.com/%0D%0Ahost=evil",
    "https://example.com/%00",
    "https://example.com\\@evil.com/x",
    "https://exa mple.com/x",
    "git@github.com:owner/repo\x00.git",
    "\x1b[31mhttps://example.com/x",
    "https://169.254.169.254/latest/meta-data",
    "https://169.254.1.2/x.git",
    "https://[fe80::1]/x.git",
    "https://[::ffff:169.254.169.254]/x.git",
    "https://[::ffff:a9fe:a9fe]/x.git",
    "https://[fd00:ec2::254]/x.git",
    "https://2852039166/x.git",
    "https://0xA9FEA9FE/x.git",
    "https://0251.0376.0251.0376/x.git",
    "https://169.254.43518/x.git",
    "https://0.0.0.0/x.git",
    "https://100.100.100.200/x.git",
    "https://metadata.google.internal/x.git",
    "https://METADATA.google.internal./x.git",
    "git@169.254.169.254:owner/repo",
    "ssh://git@169.254.169.254/owner/repo",
    "http://example.com/x.git",
    "git://example.com/x.git",
    "ftp://example.com/x.git",
    "javascript://x/y",
    "https:///x.git",
    "https://example.com",
    "https://example.com/",
    "https://example.com:99999/x",
    "https://[::1/x",
    "file://evil.example.com/share/x.git",
    "ssh://git@host name/x",
    "https://example.com/" + "a" * (1024 * 1024),
    "a" * (1024 * 1024),
]


@pytest.mark.parametrize("text", GOOD)
def test_an_ordinary_address_is_taken_as_it_is(text):
    assert parse_url(text, nowhere).url == text


@pytest.mark.parametrize("text", BAD, ids=lambda text: repr(text)[:40])
def test_an_address_that_could_do_harm_is_refused_in_one_short_line(text):
    begun = time.thread_time()
    with pytest.raises(UsageError) as caught:
        parse_url(text, nowhere)
    assert time.thread_time() - begun < 2
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1%eth0", "::ffff:169.254.169.254", "fd00:ec2::254"])
def test_a_name_that_leads_to_a_forbidden_address_is_refused(address):
    with pytest.raises(UsageError, match="link-local"):
        parse_url("https://innocent.example.com/x.git", lambda _name: ["192.0.2.1", address])


def test_an_error_never_shows_a_password():
    with pytest.raises(UsageError) as caught:
        parse_url("http://user:hunter2@example.com/x.git", nowhere)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("branch", ["main", "feature/a-b", "release-1.2", "ümlaut", "a.b", "user@host"])
def test_branch(branch):
    assert check_branch(branch) == branch


@pytest.mark.parametrize(
    "branch",
    [
        *(
            "",
            "-b",
            "--upload-pack=x",
            "a b",
            "a..b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[",
            "a\\b",
            "a\nb",
            "@",
            "a@{1}",
        ),
        *("/a", "a/", "a//b", "a.lock", "a.lock/b", ".a", "a/.b", "a.", "HEAD", "refs/heads/x", "a\x7f", "x" * 1000),
    ],
)
def test_what_is_no_branch(branch):
    with pytest.raises(UsageError):
        check_branch(branch)


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("/home/a/my app", "my-app"),
        ('/home/a/it\'s "quoted"', "it-s-quoted"),
        ("https://github.com/o/repo.git", "repo"),
        ("git@github.com:o/repo.git", "repo"),
        ("git@github.com:repo", "repo"),
        ("/srv/repo.git/", "repo"),
        ("/srv/.dotfiles", "dotfiles"),
        ("/srv/..", "repository"),
        ("/srv/---", "repository"),
        ("/srv/$(touch x)", "touch-x"),
        ("/srv/{{ 7*7 }}", "7-7"),
        ("/srv/日本語", "repository"),
        ("/srv/" + "a" * 300, "a" * 64),
    ],
)
def test_repository_name(place, name):
    assert repository_name(place) == name
    # The container's folder is named by the same rule.
    assert folder_name(name) == name


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://user:pw@example.com/x.git", "https://example.com/x.git"),
        ("https://token@example.com:8443/x.git?private_token=1#f", "https://example.com:8443/x.git"),
        ("ssh://git:pw@example.com/x.git", "ssh://git@example.com/x.git"),
        ("git@example.com:x.git", "git@example.com:x.git"),
        ("/srv/git/x.git", None),
        ("../x.git", None),
        ("file:///srv/x.git", None),
        ("ext::sh -c id", None),
        ("-oProxyCommand=x:y", None),
        ("https://a/b\nc", None),
    ],
)
def test_without_credentials(url, kept):
    assert without_credentials(url) == kept


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://example.com/x", True),
        ("git@example.com:x", True),
        ("host:path", True),
        ("ext::x", True),
        (".", False),
        ("./a:b", False),
        ("/srv/a:b", False),
        ("some folder", False),
        ("~/src", False),
    ],
)
def test_looks_like_url(text, url):
    assert looks_like_url(text) is url


def test_a_folder_named_like_an_address_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "host:path").mkdir()
    assert not looks_like_url("host:path")


@pytest.mark.parametrize("text", ["", "-x", "a\nb", "a\0b", "x" * 10000])
def test_what_is_neither_path_nor_url(text):
    with pytest.raises(UsageError):
        check_text(text)
