"""The whole path of a request: after any history, what is computed equals one masked forward pass of transformers."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from model.adapters import RegistryError
from model.cache.document_cache import CacheBudgets
from model.cache.key import Key
from model.completion import CompletionRequest, Refusal
from model.cutting import finished
from model.document import Document
from model.generator import Generator, GeneratorOptions
from model.positions import SchemeName
from model.prompt import Budget, Prompt
from model.runtimes.onnx_runtime import OnnxRuntime
from model.runtimes.runtime import CancelledError
from tests.unit.model.reference import MaskedReference

WORDS = [
    "import os\n",
    "def area(radius):\n",
    "    return radius\n",
    "value = 1\n",
    "class Shape:\n",
    "    pass\n",
    "# π\n",
]
TEXT = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map("".join)
BUDGET = Budget(documents=240, attended=240, document=80, tail=120, grid=4, suffix=24)
BIG = CacheBudgets(1 << 30, 1 << 30, 1 << 30)


def never() -> bool:
    return False


def make(base: Path, folder: Path | None = None, budgets: CacheBudgets = BIG, **options: object) -> Generator:
    runtime = OnnxRuntime(base, precision="float32", threads=1)
    chosen = GeneratorOptions(budget=BUDGET, cache=budgets, cache_folder=folder, prefetch=False, **options)  # type: ignore[arg-type]
    return Generator(base, runtime, chosen)


def request(prefix: str, *documents: Document, **more: object) -> CompletionRequest:
    return CompletionRequest("pkg/active.py", "python", prefix, "", documents, max_tokens=12, **more)  # type: ignore[arg-type]


def complete(generator: Generator, asked: CompletionRequest):
    return generator.complete(asked, never)


def settle(generator: Generator) -> None:
    while generator.idle(never):
        pass


@pytest.fixture(scope="module")
def adapters(make_adapter: Callable[[int], Path]) -> list[Path]:
    return [make_adapter(1), make_adapter(2)]


@pytest.fixture(scope="module")
def reference(tiny_base: Path) -> MaskedReference:
    return MaskedReference(tiny_base)


@pytest.mark.parametrize("scheme", ["parallel", "sequential"])
def test_after_any_history_logits_are_those_of_one_masked_forward_pass(
    tiny_base: Path,
    adapters: list[Path],
    reference: MaskedReference,
    tmp_path_factory: pytest.TempPathFactory,
    scheme: SchemeName,
):
    # Room for three documents in memory, so that they are evicted, written to disk and come back as 8-bit integers;
    # those are compared on a wider bound.
    entry = 80 * 2 * 2 * 2 * 8 * 4
    budgets = CacheBudgets(1 << 30, 3 * entry, 1 << 30)

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.folder = tmp_path_factory.mktemp("documents")
            self.files = {"a.py": "import os\n", "b.py": "value = 1\n", "c.py": "class Shape:\n    pass\n"}
            self.adapter: list[Path] = []
            self.prefix = "def area(radius):\n"
            self.start()

        def start(self) -> None:
            self.generator = make(tiny_base, self.folder, budgets, scheme=scheme)
            if self.adapter:
                self.generator.load_adapters(self.adapter)

        @rule(name=st.sampled_from(["a.py", "b.py", "c.py"]), text=TEXT)
        def edit_another_file(self, name: str, text: str) -> None:
            self.files[name] = text

        @rule(name=st.sampled_from(["a.py", "b.py", "c.py"]), line=st.sampled_from(WORDS))
        def append_to_another_file(self, name: str, line: str) -> None:
            self.files[name] += line

        @rule(kept=st.integers(0, 80), text=TEXT)
        def edit_here(self, kept: int, text: str) -> None:
            self.prefix = self.prefix[:kept] + text

        @rule(adapter=st.sampled_from([[], [0], [1], [0, 1]]))
        def switch_adapters(self, adapter: list[int]) -> None:
            self.adapter = [adapters[number] for number in adapter]
            self.generator.load_adapters(self.adapter)

        @rule()
        def restart(self) -> None:
            self.generator.close(5.0)
            self.start()

        @rule(steps=st.integers(1, 6))
        def idle(self, steps: int) -> None:
            for _ in range(steps):
                self.generator.idle(never)

        @precondition(lambda self: self.files)
        @rule(count=st.integers(0, 3), repository=st.sampled_from(["", "shapes"]), looks=st.integers(0, 6))
        def be_cancelled(self, count: int, repository: str, looks: int) -> None:
            left = iter([False] * looks)
            asked = request(self.prefix, *self.documents(count), repository=repository)
            with suppress(CancelledError):
                self.generator.complete(asked, lambda: next(left, True))

        @rule(count=st.integers(0, 3), repository=st.sampled_from(["", "shapes"]), wait=st.booleans())
        def complete(self, count: int, repository: str, wait: bool) -> None:
            asked = request(self.prefix, *self.documents(count), repository=repository, wait=wait)
            complete(self.generator, asked)
            if not wait:
                settle(self.generator)
            self.check(repository)

        def documents(self, count: int) -> list[Document]:
            return [Document(name, text) for name, text in list(self.files.items())[:count]]

        def check(self, repository: str) -> None:
            resident = self.generator.resident
            documents = tuple(resident_tokens(self.generator, key) for key in resident.documents)
            sink = self.generator.layout.sink(repository)
            tail = list(resident.tail)
            resident.rollback(len(tail) - 1)
            logits = resident.append(tail[-1:])[0]
            expected = reference.logits(Prompt(sink, documents, tuple(tail), b""), scheme, self.adapter)[-1]
            worst = float(np.abs(logits - expected).max())
            exact = self.generator.cache.status()["disk"]["hits"] == 0
            assert worst < (2e-4 if exact else 1.0)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=20, stateful_step_count=14, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def resident_tokens(generator: Generator, key: object) -> tuple[int, ...]:
    """The tokens of a resident document."""
    return next(wanted.tokens for wanted in generator._wanted if wanted.key == key)


def test_a_document_that_is_not_cached_is_used_on_the_next_request(tiny_base: Path):
    generator, document = make(tiny_base), Document("a.py", "value = 1\n")
    assert complete(generator, request("x = ", document)).documents == ()
    settle(generator)
    assert complete(generator, request("x = ", document)).documents == (document,)


def test_typing_on_prefills_only_what_was_typed_whatever_the_documents_are(tiny_base: Path):
    generator = make(tiny_base)
    documents = [Document(f"{name}.py", f"{name} = 1\n" * 8) for name in "abc"]
    complete(generator, request("def area(radius):\n    ret", *documents, wait=True))
    cost = complete(generator, request("def area(radius):\n    retu", *documents)).cost
    assert cost.prefilled_tokens == 1
    later = complete(generator, request("def area(radius):\n    return ra", *documents)).cost
    assert later.prefilled_tokens <= 2


def test_an_edit_elsewhere_recomputes_the_rest_of_that_document_and_nothing_else(tiny_base: Path):
    generator = make(tiny_base)
    long = "".join(f"value_{number} = {number}\n" for number in range(30))
    one, other = Document("a.py", long[:88]), Document("b.py", "class Shape:\n    pass\n")
    complete(generator, request("x = ", one, other, wait=True))
    before = generator.cache.status()
    edited = Document("a.py", one.text.rstrip() + "0\n")
    complete(generator, request("x = ", edited, other))
    settle(generator)
    after = generator.cache.status()
    recomputed = after["encodedTokens"] - before["encodedTokens"]
    size = len(generator.layout.document(edited))
    assert 0 < recomputed < size / 2
    assert after["reencodedTokens"] == recomputed


def test_a_swapped_adapter_never_sees_old_keys(tiny_base: Path, adapters: list[Path]):
    generator, document = make(tiny_base), Document("a.py", "value = 1\n")
    complete(generator, request("x = ", document, wait=True))
    generator.load_adapters(adapters[:1])
    assert generator.resident.documents == ()
    tuned = complete(generator, request("x = ", document, wait=True))
    assert tuned.cost.reused_tokens == 0
    fresh = make(tiny_base)
    fresh.load_adapters(adapters[:1])
    assert complete(fresh, request("x = ", document, wait=True)).tokens == tuned.tokens


class VanishingRuntime(OnnxRuntime):
    """The folder of an adapter is gone as soon as its weights have been read."""

    def load_adapters(self, adapters: Sequence[Path]) -> None:
        super().load_adapters(adapters)
        for folder in adapters:
            shutil.rmtree(folder)


def test_an_adapter_whose_files_vanish_while_it_is_loaded_has_keys_of_its_own(
    tiny_base: Path, adapters: list[Path], tmp_path: Path
):
    runtime = VanishingRuntime(tiny_base, precision="float32", threads=1)
    generator = Generator(tiny_base, runtime, GeneratorOptions(budget=BUDGET, cache=BIG, prefetch=False))
    asked = request("x = ", Document("a.py", "value = 1\n"), wait=True)
    complete(generator, asked)
    generator.load_adapters([shutil.copytree(adapters[0], tmp_path / "adapter")], "vanished")
    fresh = make(tiny_base)
    fresh.load_adapters(adapters[:1])
    expected, made = complete(fresh, asked), complete(generator, asked)
    assert (made.tokens, made.adapter) == (expected.tokens, "vanished")
    assert set(generator.resident.documents) == set(fresh.resident.documents)


def test_an_adapter_that_is_not_there_changes_nothing(tiny_base: Path, tmp_path: Path):
    generator, asked = make(tiny_base), request("x = ", Document("a.py", "value = 1\n"), wait=True)
    before = complete(generator, asked)
    with pytest.raises(RegistryError, match="missing"):
        generator.load_adapters([tmp_path / "none"], "none")
    after = complete(generator, asked)
    assert (after.tokens, after.adapter) == (before.tokens, None)
    assert after.cost.reused_tokens > 0


def test_two_repositories_never_share_a_document(tiny_base: Path):
    generator, document = make(tiny_base), Document("a.py", "value = 1\n")
    complete(generator, request("x = ", document, repository="one", wait=True))
    encoded = generator.cache.status()["encodedTokens"]
    complete(generator, request("x = ", document, repository="two", wait=True))
    assert generator.cache.status()["encodedTokens"] == 2 * encoded


@pytest.mark.parametrize(
    "prefix", ["value = 1\nvalue = 1\nval", "x = ", "def area(radius):\n    return radius\ndef area(ra"]
)
def test_drafts_change_nothing_but_the_time(tiny_base: Path, prefix: str):
    documents = [
        Document("a.py", "value = 1\nvalue = 1\n" * 4),
        Document("b.py", "def area(radius):\n    return radius\n"),
    ]
    with_drafts, without = make(tiny_base), make(tiny_base, drafts=False)
    for more in ("", "1", "12"):
        one = complete(with_drafts, request(prefix + more, *documents, wait=True, block=True))
        two = complete(without, request(prefix + more, *documents, wait=True, block=True))
        assert one.tokens == two.tokens
        np.testing.assert_allclose(one.logprobs, two.logprobs, atol=1e-3)
        assert list(with_drafts.resident.tail) == list(without.resident.tail)


@pytest.mark.parametrize("whole", [True, False])
def test_the_suggestion_after_an_accepted_one_is_there_before_it_is_asked_for(tiny_base: Path, whole: bool):
    runtime = OnnxRuntime(tiny_base, precision="float32", threads=1)
    generator = Generator(tiny_base, runtime, GeneratorOptions(budget=BUDGET, cache=BIG))
    asked = replace(request("def area(radius):\n    ret"), whole=whole, language="plaintext")
    left = finished(complete(generator, asked), asked)
    assert not isinstance(left, Refusal)
    settle(generator)
    accepted = replace(asked, prefix=asked.prefix + left[1].text)
    after = complete(generator, accepted)
    assert after.cost.prefetched
    plain = complete(make(tiny_base), accepted)
    assert after.text == plain.text


def test_what_is_being_encoded_goes_on_behind_a_key(tiny_base: Path):
    generator = make(tiny_base)
    document = Document("a.py", "value = 1\n" * 40)  # more than one step
    complete(generator, request("x = ", document))
    assert generator.idle(never)  # begun
    begun = generator._begun
    assert begun is not None
    complete(generator, request("x = 1", document))
    assert generator._begun is begun
    settle(generator)
    assert complete(generator, request("x = 12", document)).documents == (document,)


def test_what_is_being_warmed_is_not_lost_to_a_key(tiny_base: Path):
    generator = make(tiny_base)
    document = Document("a.py", "value = 1\n" * 40)
    generator.warm((document,), "")
    assert generator.idle(never)
    complete(generator, request("x = "))
    settle(generator)
    encoded = generator.cache.status()["encodedTokens"]
    assert complete(generator, request("y = ", document, wait=True)).documents == (document,)
    assert generator.cache.status()["encodedTokens"] == encoded > 0


def test_a_document_that_cannot_be_read_from_disk_is_encoded_again(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    document = Document("a.py", "value = 1\n" * 8)
    before = make(tiny_base, tmp_path)
    complete(before, request("x = ", document, wait=True))
    before.close(60.0)

    def refuse(path: Path, key: Key) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("model.cache.disk.read", refuse)
    after = make(tiny_base, tmp_path)
    complete(after, request("x = ", document))
    settle(after)
    assert complete(after, request("x = 1", document)).documents == (document,)


def test_half_a_character_from_a_broken_editor_is_completed_behind(tiny_base: Path):
    assert complete(make(tiny_base), request("name = '\ud83e'\nvalue = ")).tokens


def test_a_document_longer_than_any_budget_is_cut_and_no_error(tiny_base: Path):
    generator = make(tiny_base, budgets=CacheBudgets(1 << 30, 1000, 0))
    made = complete(generator, request("x = ", Document("a.py", "value = 1\n" * 5000), wait=True))
    assert made.documents == ()
    settle(generator)  # and it is not encoded for ever


def test_ten_thousand_documents_are_no_error(tiny_base: Path):
    generator = make(tiny_base)
    documents = tuple(Document(f"{number}.py", f"value = {number}\n") for number in range(10_000))
    generator.warm(documents[:200], "")
    made = complete(generator, request("x = ", *documents))
    assert made.documents == ()
    for _ in range(50):
        generator.idle(never)
    status = generator.status()
    assert status["resident"]["documents"] > 0
    assert status["resident"]["slots"] == generator.resident.capacity


def test_more_documents_than_slots_are_attended_to_by_their_pages(tiny_base: Path):
    runtime = OnnxRuntime(tiny_base, precision="float32", threads=1)
    budget = Budget(documents=400, attended=128, document=80, tail=120, grid=4, suffix=24)
    generator = Generator(tiny_base, runtime, GeneratorOptions(budget=budget, cache=BIG, prefetch=False))
    documents = [Document(f"{name}.py", f"{name}_value = 1\n" * 12) for name in "abcd"]
    prefix = "def area(radius):\n    return radius\n" * 4 + "a_va"
    made = complete(generator, request(prefix, *documents, wait=True))
    assert len(made.documents) == 4
    assert not generator.resident.whole
    fewer = complete(generator, CompletionRequest("other.py", "python", prefix, "", tuple(documents[:1]), wait=True))
    assert generator.resident.whole
    assert len(fewer.documents) == 1


@pytest.mark.parametrize("prefix", ["def area(radius):\n    ret", "value = "])
def test_unlike_what_is_known_another_text_begins_and_the_first_stays_what_it_was(tiny_base: Path, prefix: str):
    generator = make(tiny_base)
    first = complete(generator, request(prefix))
    known = [first.text]
    for _ in range(3):
        known.append(complete(generator, request(prefix, unlike=tuple(known))).text)
    assert len(set(known)) == len(known)
    assert not any(one.startswith(other) for one in known for other in known if one is not other)
    assert complete(generator, request(prefix)).text == first.text
