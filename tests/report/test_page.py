import re
from html.parser import HTMLParser

from vcore_verl.report import write_report


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


def test_the_page_holds_every_plot_and_loads_nothing(base, arm):
    arm("vcore", "grpo")
    arm("sft", "grpo")
    parsed = Page(page(base))
    assert len(parsed.sources) == 4
    assert all(source.startswith("data:image/png;base64,") for source in parsed.sources)


def test_the_page_says_what_the_other_forms_say(base, arm):
    arm("vcore", "grpo")
    text = page(base)
    markdown = (base / "report" / "report.md").read_text()
    cells = re.findall(r"\| (\d+\.\d[^|]*?) (?=\|)", markdown)
    assert len(cells) > 20 and all(f">{cell}</td>" in text for cell in cells)


def test_names_are_text(base, arm):
    arm("vcore", "grpo")
    arm("dft", "grpo", datasets=("<b>bold</b>",))
    text = page(base)
    assert "&lt;b&gt;bold&lt;/b&gt;" in text and not {"b", "script"} & set(Page(text).tags)
