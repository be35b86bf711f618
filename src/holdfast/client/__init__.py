"""What a trader needs: keys, signatures, commands."""
