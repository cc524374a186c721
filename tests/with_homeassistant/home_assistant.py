"""Home Assistant's core with its MQTT integration, in this process, on a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, TypeVar

from homeassistant import auth, bootstrap, config_entries, core, loader
from homeassistant.helpers import device_registry, entity_registry
from homeassistant.setup import async_setup_component
from support.ports import free_port
from support.waiting import wait_until

T = TypeVar("T")
ENTRY = "broker"


class _Complaints(logging.Handler):
    """Keeps what Home Assistant logs as a warning or worse, except what its core logs about its own integration."""

    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "homeassistant.helpers.frame":
            self._found.append(f"{record.name}: {record.getMessage()}")


class HomeAssistant:
    """A Home Assistant on a folder, which is kept over restarts. Use it in a `with` block."""

    def __init__(self, folder: Path, broker_port: int) -> None:
        self._folder = folder
        self._broker_port = broker_port
        self._hass: core.HomeAssistant | None = None
        self.complaints: list[str] = []  # what it logged as a warning or worse
        self._log = _Complaints(self.complaints)

    def __enter__(self) -> Self:
        logging.getLogger("homeassistant").addHandler(self._log)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="home-assistant")
        self._thread.start()
        self._hass = self._run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        assert self._hass is not None
        self._run(self._hass.async_stop(force=True))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()
        logging.getLogger("homeassistant").removeHandler(self._log)

    def restart(self) -> None:
        """Stop Home Assistant in good order, and start it on the same folder."""
        self.__exit__()
        self.__enter__()

    def entity(self, platform: str, key: str) -> str:
        """Return the entity id of a component that was announced under that unique id; empty where there is none."""
        return entity_registry.async_get(self._hass).async_get_entity_id(platform, "mqtt", key) or ""

    def entities(self) -> dict[str, str]:
        """Return the unique ids of all MQTT entities, and the state of each."""
        found = entity_registry.async_get(self._hass).entities.get_entries_for_config_entry_id(ENTRY)
        return {entry.unique_id: self.state(entry.entity_id) for entry in list(found)}

    def disabled(self) -> set[str]:
        """Return the unique ids of disabled entities."""
        found = entity_registry.async_get(self._hass).entities.get_entries_for_config_entry_id(ENTRY)
        return {entry.unique_id for entry in list(found) if entry.disabled}

    def enable_everything(self) -> None:
        """Enable all disabled entities."""
        self._run(self._enable())

    def rename(self, entity_id: str, name: str) -> None:
        """Rename an entity, as a user does."""
        self._run(self._rename(entity_id, name))

    def name(self, entity_id: str) -> str | None:
        """Return the name that a user gave an entity."""
        entry = entity_registry.async_get(self._hass).async_get(entity_id)
        return entry.name if entry else None

    def device_of(self, entity_id: str) -> str:
        """Return the name of an entity's device."""
        assert self._hass is not None
        entry = entity_registry.async_get(self._hass).async_get(entity_id)
        assert entry is not None
        device = device_registry.async_get(self._hass).async_get(entry.device_id or "")
        return (device and device.name) or ""

    def state(self, entity_id: str) -> str:
        """Return the state of an entity; empty where there is no such entity."""
        assert self._hass is not None
        state = self._hass.states.get(entity_id)
        return state.state if state else ""

    def attributes(self, entity_id: str) -> dict[str, Any]:
        assert self._hass is not None
        state = self._hass.states.get(entity_id)
        return dict(state.attributes) if state else {}

    def image(self, entity_id: str) -> tuple[str, bytes]:
        """Return content type and content of an image entity."""
        assert self._hass is not None
        entity = self._hass.data["image"].get_entity(entity_id)
        return entity.content_type, self._run(entity.async_image())

    def call(self, entity_id: str, service: str, **data: Any) -> None:
        """Call a service on an entity, as a button of the user interface does."""
        assert self._hass is not None
        domain = entity_id.partition(".")[0]
        services = self._hass.services
        self._run(services.async_call(domain, service, {"entity_id": entity_id, **data}, blocking=True))

    def wait_state(self, entity_id: str, *states: str, timeout_s: float = 20) -> None:
        wait_until(lambda: self.state(entity_id) in states, timeout_s, f"{entity_id} never was {states}")

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _enable(self) -> None:
        assert self._hass is not None
        registry = entity_registry.async_get(self._hass)
        for entry in list(registry.entities.get_entries_for_config_entry_id(ENTRY)):
            if entry.disabled:
                registry.async_update_entity(entry.entity_id, disabled_by=None)
        assert await self._hass.config_entries.async_reload(ENTRY)
        await self._hass.async_block_till_done()

    async def _rename(self, entity_id: str, name: str) -> None:
        entity_registry.async_get(self._hass).async_update_entity(entity_id, name=name)

    async def _start(self) -> core.HomeAssistant:
        (self._folder / "configuration.yaml").touch()
        hass = core.HomeAssistant(str(self._folder))
        hass.config.skip_pip = True  # everything is installed
        hass.config_entries = config_entries.ConfigEntries(hass, {})
        loader.async_setup(hass)
        await bootstrap.async_load_base_functionality(hass)
        hass.auth = await auth.auth_manager_from_config(hass, [], [])
        await async_setup_component(hass, "homeassistant", {})
        http = {"server_host": "127.0.0.1", "server_port": free_port()}
        assert await async_setup_component(hass, "http", {"http": http})
        if hass.config_entries.async_get_entry(ENTRY) is None:
            await hass.config_entries.async_add(self._entry())
        assert await async_setup_component(hass, "mqtt", {})
        await hass.async_start()
        await hass.async_block_till_done()
        return hass

    def _entry(self) -> config_entries.ConfigEntry:
        return config_entries.ConfigEntry(
            entry_id=ENTRY,
            domain="mqtt",
            title="broker",
            data={"broker": "127.0.0.1", "port": self._broker_port},
            options={},
            source=config_entries.SOURCE_USER,
            version=1,
            minor_version=2,
            unique_id=None,
            discovery_keys=MappingProxyType({}),
            subentries_data=None,
        )
