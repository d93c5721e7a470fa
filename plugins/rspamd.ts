/** Scans every message before it is accepted: over SMTP in the receiver, over HTTP (/send, /send-raw) in the main process. */
import { definePlugin } from '../lib/process/join';
import { Collector } from '../lib/zonemta/body';

export const { title, init } = definePlugin('rspamd', 'Smart Relay: rspamd', ({ app, gate, on, lib }) => {
    const collector = new Collector(() => gate.services?.settings.rspamd && { limit: gate.services.settings.rspamd.maxSize });
    app.addAnalyzerHook((envelope, source, destination) => collector.collect(envelope, source, destination));
    on('message:queue', (services, envelope, info) => lib().scanMessage(services, app, collector, envelope, info));
});
