import { tellGreetingFailover } from './story';

tellGreetingFailover('3.10.3');
