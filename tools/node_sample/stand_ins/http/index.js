// Never loaded: "http" is a module of Node itself, and the placeholder of that name has left npm.
