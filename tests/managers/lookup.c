/* A program on the node that resolves with musl's own resolver, as Alpine's containers do.
 * usage: musl-lookup NAME */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct addrinfo hints = { .ai_socktype = SOCK_DGRAM }, *found;
	char text[64];
	int failed = getaddrinfo(argc > 1 ? argv[1] : "", 0, &hints, &found);

	if (failed) {
		puts(gai_strerror(failed));
		return 2;
	}
	for (; found; found = found->ai_next)
		if (!getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, 0, 0, NI_NUMERICHOST))
			puts(text);
	return 0;
}
