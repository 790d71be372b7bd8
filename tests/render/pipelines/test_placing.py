"""One part at a time on the device: while it is there, its tensors are in other memory."""

from __future__ import annotations

from typing import Any

import pytest

from modelhub.render.memory import Fit
from modelhub.render.pipelines.placing import LayerByLayer, TakingTurns
from modelhub.render.request import Recipe
from tests.render.pipelines.conftest import Assembler, Files, picture

pytestmark = pytest.mark.filterwarnings("ignore")


class Copying(TakingTurns):
    """The device is the processor itself; what is brought to it is a copy all the same."""

    def brought(self, tensor: Any) -> Any:
        return tensor.clone()


class Watched:
    """Modules, and which of them are away from where they were made."""

    def __init__(self, **modules: Any) -> None:
        self.modules = modules
        self._homes = {name: self._home(one) for name, one in modules.items()}

    @staticmethod
    def _home(module: Any) -> list[int]:
        return [one.data_ptr() for one in module.parameters()]

    @property
    def away(self) -> list[str]:
        return [name for name, one in self.modules.items() if self._home(one) != self._homes[name]]


@pytest.fixture(name="watched")
def _watched(torch: Any) -> Watched:
    return Watched(first=torch.nn.Linear(4, 3), second=torch.nn.Linear(3, 2))


def test_a_module_comes_when_it_is_called_and_leaves_when_another_is(
    watched: Watched, torch: Any
) -> None:
    turns = Copying(watched.modules, "cpu")
    assert watched.away == []
    between = watched.modules["first"](torch.ones(1, 4))
    assert watched.away == ["first"]
    watched.modules["second"](input=between)
    assert watched.away == ["second"]
    turns.leave()
    assert watched.away == []


def test_inputs_go_to_the_device_with_it(watched: Watched, torch: Any) -> None:
    turns = TakingTurns({}, "meta")
    moved = turns.moved({"by name": torch.ones(2), "several": [torch.ones(1), "a word", None]})
    assert moved["by name"].device.type == "meta"
    assert moved["several"][0].device.type == "meta"
    assert moved["several"][1:] == ["a word", None]


def test_two_pipelines_that_share_a_module_have_one_on_the_device(
    watched: Watched, torch: Any
) -> None:
    other = Watched(third=torch.nn.Linear(2, 2))
    base = Copying(watched.modules, "cpu")
    refiner = Copying({**other.modules, "second": watched.modules["second"]}, "cpu")
    watched.modules["first"](torch.ones(1, 4))
    other.modules["third"](torch.ones(1, 2))
    assert (watched.away, other.away) == ([], ["third"])
    watched.modules["second"](torch.ones(1, 3))
    assert (watched.away, other.away) == (["second"], [])
    for one in (base, refiner):
        one.end()
    assert watched.away == []


def test_nothing_is_watched_after_the_end(watched: Watched, torch: Any) -> None:
    turns = Copying(watched.modules, "cpu")
    turns.enter("second")
    turns.end()
    assert watched.away == []
    watched.modules["first"](torch.ones(1, 4))
    assert watched.away == []


def test_what_is_changed_while_it_waits_is_what_comes_next(watched: Watched, torch: Any) -> None:
    turns = Copying(watched.modules, "cpu")
    weight = watched.modules["first"].weight
    turns.enter("first")
    turns.leave()
    changed = torch.full((3, 4), 2.0)
    weight.data = changed
    turns.enter("first")
    assert torch.equal(weight, changed)
    turns.leave()
    assert weight.data_ptr() == changed.data_ptr()


def test_the_methods_of_a_vae_bring_it_as_well(torch: Any) -> None:
    vae = torch.nn.Linear(2, 2)
    vae.decode = vae.forward
    watched = Watched(vae=vae, unet=torch.nn.Linear(2, 2))
    turns = Copying(watched.modules, "cpu")
    turns.enter("unet")
    vae.decode(torch.ones(1, 2))
    assert watched.away == ["vae"]
    assert turns.present == "vae"
    turns.end()
    vae.decode(torch.ones(1, 2))
    assert watched.away == []


class CopyingLayers(LayerByLayer):
    """As :class:`Copying`; counts what is brought."""

    def __init__(self, module: Any, device: str) -> None:
        super().__init__(module, device)
        self.count = 0

    def brought(self, tensor: Any) -> Any:
        self.count += 1
        return tensor.clone()


def test_each_layer_comes_for_its_own_time_alone(torch: Any) -> None:
    first, second = torch.nn.Linear(4, 3), torch.nn.Linear(3, 2)
    model = torch.nn.Sequential(first, torch.nn.ReLU(), second)
    expected = model(torch.ones(1, 4))
    watched = Watched(first=first, second=second)
    layers = CopyingLayers(model, "cpu")
    seen: list[list[str]] = []
    for one in (first, second):
        one.register_forward_pre_hook(lambda *_: seen.append(watched.away))
    assert torch.equal(model(torch.ones(1, 4)), expected)
    assert seen == [["first"], ["second"]]
    assert watched.away == []
    assert layers.count == 4


def test_a_layer_that_fails_goes_back_too(torch: Any) -> None:
    watched = Watched(only=torch.nn.Linear(4, 3))
    CopyingLayers(watched.modules["only"], "cpu")
    with pytest.raises(RuntimeError):
        watched.modules["only"](torch.ones(1, 5))
    assert watched.away == []


def test_a_whole_pipeline_computes_the_same_layer_by_layer(
    files: Files, assembler: Assembler, torch: Any
) -> None:
    recipe = Recipe(model=str(files.of("sd1")))
    plain = assembler(recipe)
    expected = picture(plain)
    layers = [CopyingLayers(part.module, "cpu") for part in plain.parts.values()]
    assert torch.equal(picture(plain), expected)
    assert all(one.count > 50 for one in layers)
    assembler.cache.clear()
    eight_bit = assembler(recipe, fit=Fit(eight_bit=True))
    CopyingLayers(eight_bit.parts["unet"].module, "cpu")
    assert (picture(eight_bit) - expected).abs().max() < 0.2
    stored = {one.dtype for one in eight_bit.parts["unet"].module.parameters()}
    assert torch.float8_e4m3fn in stored
