"""From a locustfile, its options and the server's models to what a plan needs; every fault before a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from triton_users.inputs import InputError, ModelSpec, request_classes
from triton_users.options.settings import OptionError, Settings
from triton_users.plan.flows import Source
from triton_users.run.errors import RunError
from triton_users.run.models import source_for
from triton_users.run.target import Target

UserClasses = Mapping[str, Any]


def triton_classes(user_classes: Sequence[Any], base: type) -> dict[str, Any]:
    """The locustfile's Triton users by name. Raises RunError when there is none."""
    found = {cls.__name__: cls for cls in user_classes if issubclass(cls, base)}
    others = [cls.__name__ for cls in user_classes if not issubclass(cls, base)]
    if not found:
        raise RunError(
            "the locustfile has no Triton user: derive a class from triton_users.TritonUser, or use "
            "locustfiles/any.py with --model NAME."
        )
    if others:
        raise RunError(
            f"{', '.join(others)} is no Triton user: a run measures Triton users only. Move it to a "
            "locustfile of its own."
        )
    return found


def class_defaults(classes: UserClasses) -> dict[str, Any]:
    """What the user classes give for options and for the host. Raises RunError where two of them differ: a
    run has one plan and one server."""
    defaults: dict[str, Any] = {}
    owners: dict[str, str] = {}
    for name, cls in classes.items():
        for key, value in {**cls.options, **({"host": cls.host} if cls.host else {})}.items():
            if key in defaults and defaults[key] != value:
                raise RunError(
                    f"{owners[key]} and {name} give different values for {key}: {defaults[key]!r} and "
                    f"{value!r}. A run has one plan and one server: say it in one of them, or measure them "
                    "by locustfiles of their own."
                )
            defaults[key] = value
            owners[key] = name
    return defaults


def read_settings(
    options: Any, defaults: Mapping[str, Any], *, filled_in_users: int | None = None
) -> Settings:
    """Options over the user classes' defaults. Raises RunError with every fault."""
    try:
        return Settings.read(options, defaults, filled_in_users=filled_in_users)
    except OptionError as error:
        raise RunError(str(error)) from error


def model_of(cls: Any, settings: Settings) -> str:
    """The model that a user class loads. Raises RunError when nobody names one."""
    model = settings.model or cls.model
    if not model:
        raise RunError(f"{cls.__name__} names no model: give --model NAME, or set `model` in the class.")
    return str(model)


def planned_sources(classes: UserClasses, settings: Settings) -> list[Source]:
    """The plan's sources as far as they are known without a server."""
    return [
        Source(
            name=name,
            user_class=name,
            model="" if cls.has_tasks() else model_of(cls, settings),
            weight=float(cls.weight),
            tasks=cls.has_tasks(),
        )
        for name, cls in classes.items()
    ]


def models_of(classes: UserClasses, settings: Settings) -> list[str]:
    """Every model that the run is known to need, without repetition."""
    named = [settings.model or cls.model for cls in classes.values()]
    return sorted(
        {model_of(c, settings) for c in classes.values() if not c.has_tasks()} | {n for n in named if n}
    )


def ignored(classes: UserClasses, settings: Settings) -> list[str]:
    """What of the user classes has no effect in this plan, a sentence for each."""
    return [
        f"{name}.wait_time is ignored "
        + ("under a request rate: its arrivals start the tasks" if cls.has_tasks() else "without tasks")
        for name, cls in classes.items()
        if cls.has_own_wait_time() and (settings.request_rates or not cls.has_tasks())
    ]


def checked_sources(classes: UserClasses, settings: Settings, target: Target) -> list[Source]:
    """The plan's sources with the shapes that the models take. Raises RunError with every fault."""
    faults: list[str] = []
    sources = []
    for source in planned_sources(classes, settings):
        cls = classes[source.user_class]
        if source.tasks:
            sources.append(source)
            continue
        try:
            spec = target.spec(source.model, settings.model_version)
            shapes = _shapes(cls, spec, settings)
        except InputError as error:
            faults.append(str(error))
            continue
        sources.append(
            Source(source.name, source.user_class, source.model, source.weight, shapes, tasks=False)
        )
    if faults:
        raise RunError("\n".join(faults))
    return sources


def _shapes(cls: Any, spec: ModelSpec, settings: Settings) -> Any:
    """Input shapes and their weights; also checks the batch sizes against the model."""
    given = source_for(cls, spec, settings)
    batches = settings.batch_mix or tuple((size, 1.0) for size in settings.batch_sizes)
    classes = request_classes(
        spec,
        batches=batches,
        shapes=dict(settings.shapes),
        shape_mix=settings.shape_mix,
        known=given.shapes(batches[0][0]),
    )
    weights: dict[Any, float] = {}
    for request_class, weight in classes:
        weights[request_class.input_shapes] = weights.get(request_class.input_shapes, 0.0) + weight
    return tuple(weights.items())
