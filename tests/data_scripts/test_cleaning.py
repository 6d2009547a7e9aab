"""The clean-up of corpus text."""

import pytest

from data_scripts.cleaning import clean_film_text, clean_spaced_text

FILM_LINES = [
    ("<u>Never</u> say <i>that</i>.", "Never say that."),
    ("I  don\ufffdt   know.", "I don't know."),
    ("You and me\ufffdwe are\ufffd done.", "You and me -- we are done."),
    ("The caf\ufffd is shut.", "The caf is shut."),
    ("It’s “fine”…", 'It\'s "fine"...'),
    ("\x00Hello\u200b there\n", "Hello there"),
    ("3 < 4 and b > a", "3 < 4 and b > a"),
    ("The &quot;best&QUOT; of AT&T &amp; us", 'The "best" of AT&T & us'),
    ("\ufffd\ufffd", ""),
    ("   ", ""),
    ("  -- And then --  ", "And then"),
]
SPACED_LINES = [
    ("hi , i'm fine .", "Hi, I'm fine."),
    ("i don ' t know . do you ?", "I don't know. Do you?"),
    ("i dont like mondays", "I don't like Mondays."),
    ("im from new york , usa !", "I'm from New York, USA!"),
    ("wow ! ! ! really ? ?", "Wow! Really?"),
    ("it costs $ 3 , 500 at 10 : 30 .", "It costs $3,500 at 10:30."),
    ("well . . . maybe", "Well... maybe."),
    ('she said " hello there " to me', 'She said "hello there" to me.'),
    ("( just kidding ) .", "(Just kidding)."),
    ("Say , Jim , how about going for a few beers ?", "Say, Jim, how about going for a few beers?"),
    ("i am 5 . i have 2 dogs .", "I am 5. I have 2 dogs."),
    ("  hi", "Hi."),
    ("well . . . . maybe", "Well... maybe."),
    ("new york city or new york", "New York City or New York."),
    (". . .", ""),
    ("", ""),
]

DAMAGED_LINES = [
    ("So cute :) I like it ;-)", "So cute :) I like it ;-)"),
    ("He is gone :( Poor dog :D", "He is gone :( Poor dog :D"),
    ("i love him ,", "I love him."),
    ("what is it ? ;", "What is it?"),
    ("All of these castles - -", "All of these castles."),
    ("It opens at 8: 00 a . m . on Sundays .", "It opens at 8:00 a.m. on Sundays."),
    ("From 6 p.m. to 9 P.M. or so .", "From 6 p.m. to 9 P.M. or so."),
    ("It closes at 8 p.m.Any more ?", "It closes at 8 p.m. Any more?"),
    ("10:15 a . m .", "10:15 a.m."),
    ("Pancakes vs . waffles .", "Pancakes vs. waffles."),
    ("How has L.A. been ? fine ?", "How has L.A. been? Fine?"),
    ("The U . S . history", "The U.S. history."),
    ("i am in the u . s . now . so am i . i work .", "I am in the U.S. now. So am I. I work."),
    ("my initials are s . b . i think", "My initials are S.B. I think."),
    (
        "Well ... er ... you should sue them , to be frank .",
        "Well... er... you should sue them, to be frank.",
    ),
    ("i am er uh an er nurse in the er", "I am er uh an ER nurse in the ER."),
    ("i m sure they don t , it s my mom s , we ve seen", "I'm sure they don't, it's my mom s, we've seen."),
    ("my mom s house isn t far , that'sn't bad", "My mom's house isn't far, that isn't bad."),
    ("I Ve got it , do you have s second", "I've got it, do you have s second."),
    ("A t shirt , wait for s while", "A t shirt, wait for s while."),
    ("Open your IM tools , Im here . I DONT", "Open your IM tools, I'm here. I DON'T."),
    ("I cant't and I cant' wait", "I can't and I can't wait."),
    ('A 14" by 14" painting', 'A 14" by 14" painting.'),
    (
        "Look after the customers ' stuff . The kids ' toys , too .",
        "Look after the customers' stuff. The kids' toys, too.",
    ),
    ("They say ' no ' . It is called ' Titanic ' ?", "They say 'no'. It is called 'Titanic'?"),
    ("His parents ' house and the boys ' room", "His parents ' house and the boys ' room."),
    ("I ' Ve met Mr . O ' Neil , Ma ' am . THEY'RE", "I've met Mr. O'Neil, Ma'am. THEY'RE."),
    ("Under ' C ' and ' D ' in the 1980 ' s", "Under 'C' and 'D' in the 1980's."),
    ("Yes ,he is 5 $ short of $ 12 .", "Yes, he is 5 $ short of $12."),
    ("Mr.Smith has a Ph . D . in it , No.But", "Mr. Smith has a Ph.D. in it, No. But."),
]


@pytest.mark.parametrize(("raw", "clean"), FILM_LINES)
def test_film_text(raw, clean):
    assert clean_film_text(raw) == clean


@pytest.mark.parametrize(("raw", "clean"), SPACED_LINES)
def test_spaced_text(raw, clean):
    assert clean_spaced_text(raw) == clean


def test_a_sentence_after_a_quoted_one_begins_with_a_capital():
    assert clean_spaced_text('she said " go . " then he left .') == 'She said "go." Then he left.'


@pytest.mark.parametrize(("raw", "clean"), DAMAGED_LINES)
def test_the_clean_up_of_spaced_text_does_no_damage(raw, clean):
    assert clean_spaced_text(raw) == clean


@pytest.mark.parametrize(
    "clean, lines", [(clean_film_text, FILM_LINES), (clean_spaced_text, SPACED_LINES + DAMAGED_LINES)]
)
def test_clean_text_stays_as_it_is(clean, lines):
    for _, once in lines:
        assert clean(once) == once
