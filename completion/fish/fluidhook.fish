# Completion of fluidhook in fish. fluidhook itself knows its commands and options.
function __fluidhook_complete
	set -l words (commandline -opc) (commandline -ct)
	$words[1] __complete $words[2..-1] 2>/dev/null
end
complete -c fluidhook -a '(__fluidhook_complete)'
