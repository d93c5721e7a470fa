/** Sends every delivery from an address that is drawn for it. */
import { definePlugin } from '../lib/process/join';

export const { title, init } = definePlugin('random-ip', 'Smart Relay: random IP', ({ on, lib }) => {
    on('sender:fetch', (services, delivery) => lib().routeDelivery(services, delivery));
    on('sender:connection', (services, delivery, connection) => lib().knowRoute(services, delivery, connection));
});
