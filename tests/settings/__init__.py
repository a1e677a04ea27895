"""The page docs/settings.md: what the AWS CLI makes of a setting, and what we make of it.

Both upload a file to the same recording server, from the same files and variables, as commands.  Of each
case the whole reading is compared; the page shows what differs from a run without the setting.

    make test-settings                # both, beside the page
    make test-settings ARGS=--write   # the page anew
"""
