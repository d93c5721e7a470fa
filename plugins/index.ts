/** What all plugins share: who the sender of a message is, the good end of a delivery in the history, and the operator's API. */
import { definePlugin } from '../lib/process/join';

export const { title, init } = definePlugin('index', 'Smart Relay', ({ app, on, lib, operations }) => {
    switch (app.manager.context) {
        case 'main':
            operations();
            on('message:headers', (services, envelope) => lib().identifySender(services, envelope));
            break;
        case 'receiver':
            on('message:headers', (services, envelope) => lib().identifySender(services, envelope));
            break;
        case 'sender':
            on('sender:delivered', (services, delivery, info) => lib().handleDelivered(services, delivery, info.response ?? ''));
    }
});
