# Empty Debian systems for the tools that need one: sourced, not run. (shell: bash)
# shellcheck shell=bash
# shellcheck disable=SC2016 # apt-get expands what is in single quotes

# sources.list lines for a release, on the mirrors that this machine's apt uses.
debian_sources() {
	local release=$1 site label
	apt-get indextargets --format '$(SITE) $(ORIGIN) $(LABEL)' 'Created-By: Packages' | sort -u |
		while read -r site origin label; do
			[ "$origin" = Debian ] || continue
			case $label in
			*Security*) echo "deb $site $release-security main" ;;
			*) echo "deb $site $release main" ;;
			esac
		done
}

# An empty system of a release in a new directory, with the packages named (separated by commas).
debian_bootstrap() {
	local release=$1 dir=$2 packages=$3 lines
	mapfile -t lines < <(debian_sources "$release")
	if [ ${#lines[@]} -eq 0 ]; then
		echo "apt knows no Debian mirror here; run apt-get update" >&2
		return 1
	fi
	mmdebstrap --mode=root --variant=minbase --include="$packages" --skip=output/dev \
		"$release" "$dir" "${lines[@]}" || return 1
	[ ! -e /etc/resolv.conf ] || cp -L /etc/resolv.conf "$dir/etc/resolv.conf"
}
