"""Words of code and of questions meet each other."""

import sqlite3
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from index.words import indexed, match_expression, query_words, words


def test_identifiers_are_found_whole_and_in_parts() -> None:
    assert words("parseHTTPResponse") == ["pars", "http", "respons", "parsehttpresponse"]
    assert words("max_file_bytes") == ["max", "fil", "byt", "max_file_bytes"]
    assert words("utf8Decoder") == ["utf", "8", "decoder", "utf8decoder"]


def test_forms_of_a_word_meet() -> None:
    assert len({words(form)[0] for form in ("cache", "caches", "cached", "caching")}) == 1
    assert len({words(form)[0] for form in ("query", "queries")}) == 1


def test_scripts_without_spaces_are_found_letter_by_letter() -> None:
    assert words("検索する") == ["検", "索", "す", "る"]


def test_a_query_of_stop_words_keeps_them() -> None:
    assert query_words("where is the child") == ["child"]
    assert query_words("what is this") == ["what", "is", "thi"]


@given(st.text())
def test_every_word_of_a_text_is_a_word_of_the_query_with_that_text(text: str) -> None:
    assert set(query_words(text)) <= set(words(text))


@given(st.text())
def test_a_match_expression_is_words_in_quotes(text: str) -> None:
    for part in match_expression(query_words(text)).split(" OR "):
        assert part == "" or (part[0] == part[-1] == '"' and '"' not in part[1:-1])


def test_a_word_is_looked_up_as_the_word_index_keeps_it() -> None:
    letters = {word for code in [*range(0xC0, 0x180), *range(0x1E00, 0x1F00)] for word in words(chr(code))}
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute('CREATE VIRTUAL TABLE w USING fts5 (t, tokenize="unicode61 remove_diacritics 2")')
        database.execute("CREATE VIRTUAL TABLE vocabulary USING fts5vocab (w, row)")
        database.execute("INSERT INTO w VALUES (?)", (" ".join(f"x{letter}" for letter in letters),))
        kept = {term for (term,) in database.execute("SELECT term FROM vocabulary")}
    assert {indexed(f"x{letter}") for letter in letters} == kept
