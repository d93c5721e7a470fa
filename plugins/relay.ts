/** Takes deliveries through the relay zones, and writes the last letter. */
import { definePlugin } from '../lib/process/join';

export const { title, init } = definePlugin('relay', 'Smart Relay: relay', ({ app, on, lib }) => {
    if (app.manager.context === 'sender') {
        on('sender:fetch', (services, delivery) => lib().prepareRelayed(services, delivery));
        on('sender:connect', (services, delivery, options) => lib().connectRelay(services, delivery, options));
    } else {
        on('queue:bounce', (services, bounce) => lib().explainBounce(services, bounce));
        on('queue:delayed', (_services, bounce) => lib().silenceDelayNotice(bounce));
    }
});
