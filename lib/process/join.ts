/**
 * How a plugin of ours comes into a process. The first one to load registers the gate's hooks before anything else; each
 * registers its own hooks at once, synchronously (deliveries begin 0 to 1.5 s after the start of a sender and wait for no
 * plugin), and the hooks wait at the gate. When all have joined, the services are built, and the gate opens.
 *
 * This file and the plugins import at their top what cannot fail to load: built-ins, and files of ours without
 * dependencies. Everything else is required by `services`, where a failure closes the gate.
 */
import type { ZoneMtaHookName } from '@zone-eu/types';
import { addHook, Refusal, type Hook, type PluginApp, type PluginManager } from '../zonemta/app';
import { Gate } from './gate';
import type { Services } from './services';

export const PLUGIN_FILES = ['index', 'rspamd', 'random-ip', 'reputation', 'relay'] as const;
export type PluginFile = (typeof PLUGIN_FILES)[number];

/** What a plugin is given to wire itself with. */
export interface Joined {
    app: PluginApp;
    gate: Gate<Services>;
    /** What the hooks call, loaded at the first use. */
    lib: () => typeof import('./handlers');
    /** Serves the operator's API. Apart from `lib`: it must work when that does not load. */
    operations: () => void;
    /** Registers a hook that runs when the gate is open. In a sender it waits for that; elsewhere it is skipped while the gate is closed. */
    on: <Name extends ZoneMtaHookName>(name: Name, hook: (services: Services, ...args: Parameters<Hook<Name>>) => Promise<void> | void) => void;
}

export interface PluginModule {
    title: string;
    init: (app: unknown, done: () => void) => void;
}

/** Time that a receiver gives a process that has just started, ms. */
const PATIENCE = 5000;

interface Process {
    gate: Gate<Services>;
    /** The first plugin's object: for logging and databases, which all of them share. */
    app: PluginApp;
    joined: Set<PluginFile>;
}

const processes = new WeakMap<PluginManager, Process>();

/** A ZoneMTA plugin: joins the process and wires itself. Never throws, and never keeps ZoneMTA waiting. */
export function definePlugin(file: PluginFile, title: string, wire: (joined: Joined) => void): PluginModule {
    return {
        title,
        init(given, done) {
            const app = given as PluginApp;
            const process = processes.get(app.manager) ?? firstOf(app);
            try {
                wire({ app, gate: process.gate, lib: handlers, operations: () => serveOperations(app, process.gate), on: (name, hook) => registerGated(app, process.gate, name, hook) });
                process.joined.add(file);
                settle(process, app);
            } catch (err) {
                fail(process, [`the plugin ${file} did not start: ${(err as Error).message}`]);
            }
            done();
        }
    };
}

/** A dependency that is missing must find the gate's hooks in place, so none is loaded with a plugin. */
const handlers = () => require('./handlers') as typeof import('./handlers');

function serveOperations(app: PluginApp, gate: Gate<Services>): void {
    (require('./operations') as typeof import('./operations')).serveOperations(app, gate);
}

function firstOf(app: PluginApp): Process {
    const process: Process = { gate: new Gate(), app, joined: new Set() };
    processes.set(app.manager, process);
    registerGate(app, process.gate);
    for (const file of expected(app.manager)) {
        try {
            // what fails to load is only logged by ZoneMTA: it must be known before mail flows
            require(`../../plugins/${file}`);
        } catch (err) {
            fail(process, [`the plugin ${file} did not load: ${(err as Error).message.split('\n')[0] ?? ''}`]);
        }
    }
    return process;
}

function registerGate(app: PluginApp, gate: Gate<Services>): void {
    const refuse = async () => {
        if (!(await gate.within(PATIENCE))) {
            throw new Refusal(451, '4.3.5 Mail system is not configured correctly, try again later');
        }
    };
    switch (app.manager.context) {
        case 'receiver':
            return addHook(app, 'smtp:mail_from', refuse);
        case 'main':
            return addHook(app, 'api:mail', refuse);
        case 'sender':
            // a hook that never settles holds one delivery for each of the sender's connections and loses none
            return addHook(app, 'sender:fetch', async delivery => {
                if (holds(app, delivery.sendingZone ?? '')) {
                    await gate.whenOpen();
                }
            });
    }
}

function registerGated<Name extends ZoneMtaHookName>(
    app: PluginApp,
    gate: Gate<Services>,
    name: Name,
    hook: (services: Services, ...args: Parameters<Hook<Name>>) => Promise<void> | void
): void {
    addHook(app, name, async (...args) => {
        const services = await gate.within(PATIENCE);
        if (services) {
            await hook(services, ...args);
        }
    });
}

/** Does the gate hold mail of this zone? The zones that the settings name; all when the settings cannot be read. */
function holds(app: PluginApp, zone: string): boolean {
    const named = Object.entries(app.manager.options.plugins ?? {})
        .filter(([key]) => pluginFile(key) !== undefined)
        .flatMap(([, options]) => (options as { zones?: unknown } | null)?.zones ?? []);
    return named.length === 0 || named.some(name => typeof name !== 'string' || name.toLowerCase() === zone);
}

function settle(process: Process, app: PluginApp): void {
    if (process.gate.state !== 'waiting' || expected(app.manager).some(file => !process.joined.has(file))) {
        return;
    }
    handlers()
        .startServices(process.app, process.gate)
        .then(
        services => process.gate.pass(services),
        (err: Error & { faults?: readonly string[] }) => fail(process, err.faults ?? [err.message])
    );
}

function fail({ gate, app }: Process, faults: readonly string[]): void {
    gate.close(faults);
    for (const fault of faults) {
        app.logger.error('SmartRelay', 'GATE CLOSED: %s', fault);
        app.loggelf({ short_message: '[SMART_RELAY_GATE_CLOSED] mail is held', _smart_relay_code: 'GATE_CLOSED', _smart_relay_fault: fault });
    }
}

/** The plugins of ours that this process is to load. An unknown key is named by the settings' check. */
function expected(manager: PluginManager): PluginFile[] {
    return manager.plugins.flatMap(({ key }) => pluginFile(key) ?? []);
}

function pluginFile(key: string): PluginFile | undefined {
    const match = /^[./]*modules\/zonemta-smart-relay(?:\/(.+))?$/.exec(key);
    return match ? PLUGIN_FILES.find(file => file === (match[1] ?? 'index')) : undefined;
}
