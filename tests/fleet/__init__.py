"""A fleet of Debian machines that boot, rolled out to by the role of deploy/ansible/."""
