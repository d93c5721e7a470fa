import { tellGreetingFailover } from './story';

tellGreetingFailover('3.11.0');
