import pytest
import torch
from torch import nn

from fastbert_core.heads import Classifier, Folded, TokenClassifier, _in_one, logits_of_each
from reproductions.witnesses import PaperClassifier


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("padded", [False, True])
def test_one_query_equals_full_attention(heads, padded):
    torch.manual_seed(0)
    ours, paper = (kind(24, 5, width=16, heads=heads).double().eval() for kind in (Classifier, PaperClassifier))
    for parameter in ours.parameters():
        nn.init.normal_(parameter)
    paper.load_state_dict(ours.state_dict())
    hidden = torch.randn(3, 7, 24, dtype=torch.float64)
    mask = torch.arange(7) < torch.tensor([[7], [4], [1]]) if padded else None
    # Our softmax is float32's, whatever the states are.
    torch.testing.assert_close(ours(hidden, mask), paper(hidden, mask), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [Classifier, TokenClassifier])
def test_all_heads_in_one_say_and_learn_what_each_does_alone(kind):
    torch.manual_seed(7)
    heads = [kind(16, 3).eval() for _ in range(3)]
    hidden, mask = torch.randn(3, 2, 5, 16), torch.arange(5) < torch.tensor([[5], [2]])
    said = []
    for way in (logits_of_each, _in_one):  # on a CPU the first runs them one by one
        logits = torch.stack(tuple(way(heads, hidden, mask)))
        parameters = [parameter for head in heads for parameter in head.parameters()]
        said.append([logits, *torch.autograd.grad(logits.square().sum(), parameters)])
    torch.testing.assert_close(*said)


@pytest.mark.parametrize("padded", [False, True])
def test_a_folded_classifier_says_the_same_within_rounding(padded):
    torch.manual_seed(7)
    head = Classifier(16, 3, width=12, heads=3).eval()
    for parameter in head.parameters():  # biases too, which begin as zeros
        nn.init.normal_(parameter, std=0.5)
    hidden, mask = torch.randn(4, 5, 16), torch.arange(5) < torch.tensor([[5], [2], [1], [4]]) if padded else None
    with torch.no_grad():
        torch.testing.assert_close(Folded(head)(hidden, mask), head(hidden, mask), atol=1e-5, rtol=1e-5)


def test_heads_in_one_have_dropout_of_their_own():
    torch.manual_seed(7)
    head = TokenClassifier(64, 3)
    one, other = _in_one([head, head], torch.ones(2, 1, 1, 64), None)
    assert not torch.equal(one, other)
