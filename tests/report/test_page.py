import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from vcore_verl.evaluation import results as results_module
from vcore_verl.report import write_report

HOSTILE = "</script><script>document.title='owned'</script><b>bold</b>"


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.sources = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]


def page(root):
    write_report(root)
    return (root / "report" / "report.html").read_text()


def test_the_page_holds_every_picture_and_loads_nothing(base, arm):
    arm("vcore", "grpo")
    arm("sft", "grpo")
    parsed = Page(page(base))
    assert len(parsed.sources) == 4
    assert all(source.startswith("data:image/png;base64,") for source in parsed.sources)


def test_the_page_says_what_the_other_forms_say(base, arm):
    arm("vcore", "grpo")
    text = page(base)
    markdown = (base / "report" / "report.md").read_text()
    for cell in re.findall(r"\| (\d+\.\d %) ", markdown):
        assert f"<td>{cell}</td>" in text


def test_what_a_model_wrote_is_text(base, arm, monkeypatch):
    rows = results_module._rows
    monkeypatch.setattr(
        results_module,
        "_rows",
        lambda *args: [row | {"response": HOSTILE, "prompt": "<i>1+1</i>"} for row in rows(*args)],
    )
    shutil.rmtree(base / "base")
    arm("vcore", "grpo", pre=0.3, post=0.9)
    text = page(base)
    assert Page(text).tags.count("script") == 2
    assert "b" not in Page(re.sub(r"<b>(before|after) RL", "", text)).tags
    assert "i" not in Page(text).tags
    data = re.search(r'id="responses">(.*?)</script>', text, re.DOTALL).group(1)
    assert json.loads(data)["in_domain"][0]["answers"][0]["text"] == HOSTILE


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_browser_shows_a_prompt_and_its_responses(base, arm):
    arm("vcore", "grpo")
    page(base)
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    url = (base / "report" / "report.html").as_uri()
    shown = subprocess.run([*command, url], capture_output=True, text=True, timeout=120, check=True).stdout
    reader = shown[shown.index('id="reader"') :]
    assert "accepted answer: " in reader and "vcore-grpo: after RL" in reader and "samples correct" in reader
