#!/bin/sh
# A hook of fluidhook: tells your team's chat about a new install. man 7 fluidhook-hooks
#
# Needs curl and jq. To use it, as root:
#
#	install -m 0755 announce-install.sh /etc/fluidhook/hooks/droplet.installed
#	ln -s droplet.installed /etc/fluidhook/hooks/fluidhook.install_failed
#	install -m 0640 -g fluidhook /dev/null /etc/fluidhook/chat.curl
#
# and write one line into chat.curl, with the address that Slack, Mattermost, Rocket.Chat or Google
# Chat gave you:
#
#	url = "https://hooks.slack.com/services/..."
#
# That address is a secret: who has it can post. Arguments of a program can be read by every user of
# the machine, so curl reads it from the file itself, which is curl's own kind of configuration:
# `header = "..."` or `proxy = "..."` can stand there as well. Group fluidhook is the worker's.
#
# The exit status says what becomes of the delivery. 0: done. Anything else: the worker runs this
# again, 10 s later and then ever more rarely, and gives it up after 12 attempts ("fluidhook queue
# --dead"). After a crash of the machine a message can come twice.
set -u

settings=${FLUIDHOOK_CONF%/*}/chat.curl
if [ ! -r "$settings" ]; then
	echo "$settings cannot be read" >&2
	exit 1
fi

# The body is on standard input. The company stands in it, or in its payload. It also holds the
# credentials, so nothing but the name is taken. A name that jq cannot read is none: the shop will do.
# fluidhook.install_failed is an alert, whose body names the shop only.
name=$(jq -r '(.company // (.payload | objects | .company)) | .name | strings | .[0:100]' 2>/dev/null)

case $FLUIDHOOK_EVENT in
fluidhook.install_failed) what="wanted to install the droplet and is not active: fluidhook show $FLUIDHOOK_INSTALLATION" ;;
*) what='has installed the droplet' ;;
esac

# Anybody can name a company "<!channel>" or "@all": nothing in the message may mean something to the
# chat. A zero-width space behind an @ leaves it readable.
message=$(jq -n -c --arg name "${name:-A company}" --arg shop "$FLUIDHOOK_SHOP" --arg what "$what" '
	def plain: gsub("[\\x00-\\x1f\\x7f]+"; " ") | gsub("&"; "&amp;") | gsub("<"; "&lt;") |
		gsub(">"; "&gt;") | gsub("@"; "@\u200b");
	{text: "\($name | plain)\(if $shop == "" then "" else " (\($shop | plain))" end) \($what)"}') || exit 1

# Within the 60 s that a hook has (hook_timeout). Only 2xx is success: a redirect has posted nothing.
status=$(printf '%s' "$message" | curl --config "$settings" --silent --show-error --max-time 30 \
	--header 'Content-Type: application/json' --data-binary @- --output /dev/null \
	--write-out '%{http_code}') || exit 1
case $status in
2??) exit 0 ;;
esac
echo "the chat answered $status" >&2
exit 1
